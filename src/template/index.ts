export type {
  ChatTemplate,
  RenderedConversation,
  RenderedTurn,
  RenderOptions,
  TemplateTokens,
} from './chat-template.ts';
export type { Conversation, Message, Role, ToolCall, TrainedSpan } from './conversation.ts';
export { loadSavedTemplate, loadTemplate, type LoadTemplateOptions, modelChatTemplate } from './load-template.ts';
export {
  type Segment,
  segmentConversation,
  type SegmentedText,
  type SegmentOptions,
  type SegmentReason,
} from './segment.ts';
export { maxTemplateLength, readWording, type Wording } from './wording.ts';
export { type OwnTemplate, readOwnTemplate } from './own-template.ts';
export { builtinTemplateNames, nearestTemplateNames, suggestTemplates } from './suggest.ts';
export { registeredTemplate, registerTemplate } from './registered.ts';
