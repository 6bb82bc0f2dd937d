/** `fettle export`: adapters are merged into the base model, which is written to `export_dir`. */
import { exportModel, type ExportModelOptions, quantizedBase } from '../../export/index.ts';
import { exportTexts } from '../../messages/cli.ts';
import { formatBytes, formatCount, formatNumber } from '../../util/index.ts';
import { configUsage, jsonFlag, type Command } from '../command.ts';
import { openCommandConfig } from '../config-arguments.ts';
import { ProgressLine } from '../progress.ts';

/** `infer_dtype` -> the name that safetensors has for it. */
const storedDtypes: Readonly<Record<string, ExportModelOptions['dtype']>> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
};

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag],
  notes: [
    'Example:',
    '  fettle export model_name_or_path=models/base adapter_name_or_path=saves/run export_dir=models/merged',
  ],
  async run(context) {
    const { config } = await openCommandConfig(context, ['model_name_or_path', 'export_dir']);
    const json = context.options['json'] === true;
    const progress = new ProgressLine(json ? context.err : context.out);
    const dtype = storedDtypes[config.infer_dtype];
    const result = await exportModel({
      model: config.model_name_or_path!,
      adapters: config.adapter_name_or_path,
      exportDir: config.export_dir!,
      exportSize: config.export_size,
      ...(dtype === undefined ? {} : { dtype }),
      overwrite: config.overwrite_output_dir,
      onProgress: ({ tensor, bytesWritten, totalBytes }) =>
        progress.show(bytesWritten / totalBytes, exportTexts.progress(tensor)),
    }).finally(() => progress.clear());
    const base = await quantizedBase(config.model_name_or_path!, config.adapter_name_or_path, config);
    const quantized = base ? [exportTexts.quantizedBase(base.bits, formatNumber(base.relativeError * 100))] : [];
    for (const notice of [...quantized, ...result.notices]) context.err.line(context.err.style('yellow', notice));
    if (json) {
      const { folder, files, parameters, totalBytes, changedTensors } = result;
      context.out.json({ folder, files, parameters, total_bytes: totalBytes, changed_tensors: changedTensors });
      return;
    }
    context.out.line(
      exportTexts.done(
        result.folder,
        formatCount(result.parameters),
        formatBytes(result.totalBytes),
        result.files.length,
      ),
    );
  },
};
