// Authorization header → the secret in it (RFC 6750 §2.1), for the guards. Nowhere else is a token looked for.
import type { Question, Verdict, Verifier } from './verdict.ts'

/** @param authorization the header; undefined: there was none */
export function verifyBearer(
  verifier: Verifier,
  authorization: string | undefined,
  question: Question,
): Promise<Verdict> {
  return verifier.verify(secretIn(authorization), question)
}

/** Another scheme is as good as nothing; a bearer that cannot be read is handed on, to be refused as malformed. */
function secretIn(authorization: string | undefined): string | undefined {
  // Schemes are case-insensitive (RFC 9110 §11.1).
  const bearer = /^bearer(?: +(.*))?$/i.exec(authorization ?? '')
  return bearer ? (bearer[1] ?? '') : undefined
}
