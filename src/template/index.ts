export type {
  ChatTemplate,
  RenderedConversation,
  RenderedTurn,
  RenderOptions,
  TemplateTokens,
} from './chat-template.ts';
export type { Conversation, Message, Role, ToolCall, TrainedSpan } from './conversation.ts';
export {
  builtinTemplateNames,
  loadSavedTemplate,
  loadTemplate,
  type LoadTemplateOptions,
  modelChatTemplate,
  nearestTemplateNames,
} from './load-template.ts';
export {
  type Segment,
  segmentConversation,
  type SegmentedText,
  type SegmentOptions,
  type SegmentReason,
} from './segment.ts';
export { maxTemplateLength, readWording, type Wording } from './wording.ts';
export { type OwnTemplate, readOwnTemplate } from './own-template.ts';
