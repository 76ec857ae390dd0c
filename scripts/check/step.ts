/** One check of `npm run check`. */
export interface Step {
  /** As shown and as given on the command line. */
  readonly name: string;
  /** What it sees to, in a few words. */
  readonly about: string;
  /** What is wrong, one problem or one tool's report per entry; empty when nothing is. */
  readonly run: (root: string) => Promise<readonly string[]>;
}
