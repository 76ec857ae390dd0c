export {
  type Direction,
  type DirectionOptions,
  FaultProxy,
  type FaultProxyOptions,
  type WaitOptions,
} from './fault-proxy/fault-proxy.ts';
export type { ByteCounts } from './fault-proxy/lane-faults.ts';
export type { ProxyTarget } from './fault-proxy/proxy-target.ts';
export {
  CertificateAuthority,
  type CertificateOptions,
  type Identity,
} from './identities/certificate-authority.ts';
export { NatsOperator, type NatsUserOptions } from './identities/nats-operator.ts';
export { Nkey } from './identities/nkey.ts';
export {
  type Answer,
  type AnswerScript,
  type ReceivedRequest,
  WebhookReceiver,
  type WebhookReceiverOptions,
} from './webhook-receiver.ts';
