import type { PlannedMutant } from './mutant.ts';

export const noFencing: PlannedMutant = {
  name: 'no-fencing',
  about: 'a replica that was stopped past its lease goes on writing checkpoints',
  state: 'planned',
  missing: 'the run has one replica, and stops none by SIGSTOP',
};
