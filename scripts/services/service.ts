/** A way to fetch a program. */
export interface Way {
  /** As printed: `go install`. */
  readonly name: string;
  /**
   * Yields the path of the program, or throws an Error that says in one line why not.
   *
   * @param folder the service's own folder below `.tools/`, which exists
   */
  readonly obtain: (folder: string) => Promise<string>;
}

/** A program that tests need and npm's dependencies do not bring. */
export interface Service {
  readonly name: string;
  /** The program's file name, as on the PATH. */
  readonly program: string;
  /** Environment variable with the program's path; it goes before every other way. */
  readonly variable: string;
  /** For people: which versions will do. */
  readonly wanted: string;
  /** What tests need it for. */
  readonly purpose: string;
  /** The program's version when it will do; throws an Error that says why not. */
  readonly check: (path: string) => Promise<string>;
  readonly ways: readonly Way[];
}

export interface Refusal {
  readonly way: string;
  readonly reason: string;
}

export interface Found {
  readonly service: Service;
  readonly path: string;
  readonly version: string;
  readonly way: string;
  readonly refused: readonly Refusal[];
}

export interface Missing {
  readonly service: Service;
  readonly path: undefined;
  readonly refused: readonly Refusal[];
}
