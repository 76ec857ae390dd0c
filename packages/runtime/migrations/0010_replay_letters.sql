-- Dead letters that a replay caused: they are handed over again with its mark.

set local role event_runtime_owner;

-- Null: the letter is of the event as it happened, whatever replays have brought besides. No reference: a letter
-- outlives its replay.
alter table event_runtime.dead_letter add column replay_id uuid;
