// Refusals of the REST API as RFC 9457 problem details. The list of them is problems.ts; who refuses throws a Problem.
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { type ProblemCode, problems } from './problems.ts'

export type FieldError = { pointer?: string; parameter?: string; detail: string }
type Extras = { errors?: FieldError[]; requiredScopes?: readonly string[]; clientIp?: string }

/** A refusal on its way to the caller. `detail` is shown to the caller: no secret, no SQL, no stack. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly extras: Extras
  readonly headers: Record<string, string>

  constructor(code: ProblemCode, detail: string, extras: Extras = {}, headers: Record<string, string> = {}) {
    super(detail)
    this.code = code
    this.extras = extras
    this.headers = headers
  }

  get status(): number {
    return problems[this.code].status
  }
}

/** A refusal because of one field of the body. */
export function fieldProblem(
  pointer: string,
  detail: string,
  code: ProblemCode = 'validation-failed',
): Problem {
  return new Problem(code, `${pointer.slice(1)}: ${detail}`, { errors: [{ pointer, detail }] })
}

/** A secret that stood where a name was expected must not come back in the refusal, which clients and gateways log. */
const ourSecrets = /\b(?:[a-z][a-z0-9]{0,15}_(?:pat|svc|tmp)_|lks_)[\w-]{20,}/g
export const withoutSecrets = (text: string): string => text.replace(ourSecrets, '[hidden]')

/** The body, as text. `message` repeats `detail`, so that a reader of {message, status} understands both outcomes. */
export function problemBody(problem: Problem, issuer: string, requestId: string): string {
  const { status, title } = problems[problem.code]
  const body = {
    type: `${issuer}/problems/${problem.code}`,
    title,
    status,
    detail: problem.message,
    message: problem.message,
    code: problem.code,
    instance: `urn:req:${requestId}`,
    requestId,
    ...problem.extras,
  }
  return withoutSecrets(JSON.stringify(body))
}

export function sendProblem(
  problem: Problem,
  issuer: string,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const retry: Record<string, string> = problem.status === 503 ? { 'retry-after': '1' } : {}
  reply
    .code(problem.status)
    .headers({ ...retry, ...problem.headers, 'cache-control': 'no-store' })
    .type('application/problem+json')
    .send(problemBody(problem, issuer, request.id))
}

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'URL of a page about this kind of problem.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What is wrong with this request, and what to change.' }),
    message: Type.String({ description: 'The same as detail.' }),
    code: Type.String({ description: 'Stable; one of the codes listed in the catalog.' }),
    instance: Type.String(),
    requestId: Type.String(),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.Optional(Type.String({ description: 'JSON pointer into the body.' })),
          parameter: Type.Optional(Type.String({ description: 'Name of the query parameter or header.' })),
          detail: Type.String(),
        }),
      ),
    ),
    requiredScopes: Type.Optional(Type.Array(Type.String())),
    clientIp: Type.Optional(Type.String()),
  },
  { $id: 'Problem' },
)
