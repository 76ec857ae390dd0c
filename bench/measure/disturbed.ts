/** What was measured is no measurement, by no fault of what is measured: the run is made again. */
export class Disturbed extends Error {
  override readonly name = 'Disturbed';
}
