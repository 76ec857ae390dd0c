export { runtimeErrors } from './errors/codes.ts';
