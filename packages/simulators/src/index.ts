export {
  type Answer,
  type AnswerScript,
  type ReceivedRequest,
  WebhookReceiver,
  type WebhookReceiverOptions,
} from './webhook-receiver.ts';
