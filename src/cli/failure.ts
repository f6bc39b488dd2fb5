// How a command ends when it does not end well: one of the documented exit codes, what is wrong, what to do. Whatever
// else was thrown becomes one of these in report.ts.

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  inactive: 3,
  signIn: 4,
  forbidden: 5,
  notFound: 6,
  conflict: 7,
  tryAgain: 8,
} as const

export type Outcome = Exclude<keyof typeof exitCodes, 'ok'>

export class Failure extends Error {
  readonly outcome: Outcome
  /** Stable, for machines. */
  readonly code: string
  readonly whatToDo: string
  /** What is wrong with each part of what was given, for machines; people have been told. */
  readonly errors: readonly object[]

  /** @param message and @param whatToDo for people: a sentence each, no secret in either */
  constructor(
    outcome: Outcome,
    code: string,
    message: string,
    whatToDo: string,
    errors: readonly object[] = [],
  ) {
    super(message)
    this.outcome = outcome
    this.code = code
    this.whatToDo = whatToDo
    this.errors = errors
  }
}

/** The command was not put as it can be done. */
export const usage = (message: string, whatToDo: string) => new Failure('usage', 'usage', message, whatToDo)

export const cancelled = () => new Failure('usage', 'cancelled', 'Cancelled.', 'Nothing was changed.')
