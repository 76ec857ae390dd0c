-- What is looked for where letters or deliveries are a great many.

set local role event_runtime_owner;

-- Letters of sinks that were asked for since the last look.
create index dead_letter_asked on event_runtime.dead_letter (redrive_at)
  where state = 'redriving' and endpoint_id is null;

-- Deliveries by endpoint: those of a disabled one may be a great many. No query goes by when a delivery is due.
create index webhook_delivery_endpoint on event_runtime.webhook_delivery (endpoint_id, delivery_id);
drop index event_runtime.webhook_delivery_due;
