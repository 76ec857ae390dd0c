-- One lease has one session after another: what an earlier one still writes must not land behind a later one's.

set local role event_runtime_owner;

-- Null: claimed by a release that knew leases only.
alter table event_runtime.relay_checkpoint add column claim uuid;
comment on column event_runtime.relay_checkpoint.claim is
  'Which session writes it: set anew by each that reads it to go on, under the same epoch too.';
