/**
 * Whether a sink of a relay is fed, or with a shard a part of it: whoever does that has its checkpoint under the epoch of
 * a lease that has not expired. Of a row that is not called `own` or `held`.
 */
export function isFed(of: {
  readonly relay: string;
  readonly sink: string;
  readonly shard?: string;
}): string {
  const part = of.shard === undefined ? '' : ` and own.shard = ${of.shard}`;
  return `exists (
    select from event_runtime.relay_checkpoint own join event_runtime.relay_lease held using (relay, shard, epoch)
     where own.relay = ${of.relay} and own.sink = ${of.sink}${part}
       and held.sink in ('*', own.sink) and held.expires_at > clock_timestamp())`;
}
