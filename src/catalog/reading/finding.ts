// What is wrong in a document that a service publishes. Findings are listed together; what stops the reading is thrown.

export type Finding = {
  /** JSON pointer into the document. */
  readonly pointer: string
  readonly detail: string
}

/** The document cannot be read any further. `detail` says what to change. */
export class Unreadable extends Error {
  readonly findings: readonly Finding[]
  constructor(detail: string, findings: readonly Finding[] = []) {
    super(detail)
    this.findings = findings
  }
}

/** A JSON pointer (RFC 6901) from its parts. */
export const pointerTo = (...parts: readonly (string | number)[]): string =>
  parts.map((part) => `/${String(part).slice(0, 200).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
