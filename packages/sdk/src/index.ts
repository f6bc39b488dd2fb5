// What a service may rely on. The guards for frameworks are entries of their own, so that none of them is needed.
export { verifyBearer } from './bearer.ts'
export type { ServiceCredentials } from './latchkey.ts'
export { type HttpRefusal, httpRefusal, type Wording } from './refusal.ts'
export type { Active, Code, Problem, Question, Reason, Refused, Token, Verdict, Verifier } from './verdict.ts'
export { createVerifier, type VerifierOptions } from './verifier.ts'
