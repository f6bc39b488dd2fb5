// Anything that was thrown → at most two lines on stderr (or, with --json, one object), and the exit code.
import { LatchkeyError } from '@latchkey/sdk/client'
import { exitCodes, Failure, type Outcome } from './failure.ts'
import { plain } from './people.ts'

/** @returns the exit code */
export function report(error: unknown, json: boolean): number {
  const told = tell(error)
  process.stderr.write(json ? `${JSON.stringify({ error: told })}\n` : lines(told))
  return told.exitCode
}

type Told = ReturnType<typeof tell>

/** A Failure may say better what an answer means, and has it for its cause. */
function answerIn(error: unknown): LatchkeyError | null {
  const { cause } = error as Error
  return [error, cause].find((one) => one instanceof LatchkeyError) ?? null
}

function tell(error: unknown) {
  const outcome = outcomeOf(error)
  const { message, code } = error as { message: string; code?: unknown }
  const answer = answerIn(error)
  return {
    code: error instanceof Failure || answer ? String(code) : 'failed',
    message: withFields(message, answer),
    whatToDo: error instanceof Failure ? error.whatToDo : whatToDo(answer),
    exitCode: exitCodes[outcome],
    status: answer?.status || null,
    requestId: answer?.requestId ?? null,
    requiredScopes: answer?.requiredScopes ?? [],
    errors: error instanceof Failure ? error.errors : (answer?.errors ?? []),
    retryAfterSeconds: answer?.retryAfterSeconds ?? null,
    page: answer?.page ?? null,
  }
}

function lines({ message, code, requestId, whatToDo, page }: Told): string {
  const marks = [...(requestId === null ? [] : [code, `request ${requestId}`])].join(', ')
  const next = [whatToDo, page].filter(Boolean).join(' ')
  return `latchkey: ${plain(message)}${marks && ` (${marks})`}\n${next && `  ${plain(next)}\n`}`
}

/** The detail speaks of the first field that is wrong; here are the others. */
function withFields(message: string, answer: LatchkeyError | null): string {
  const more = answer?.errors.slice(1) ?? []
  const named = more.map(({ pointer, parameter, detail }) => `${parameter ?? pointer?.slice(1)}: ${detail}`)
  return [message, ...named].join(' ')
}

function whatToDo(answer: LatchkeyError | null): string {
  if (!answer) return ''
  const { requiredScopes, retryAfterSeconds } = answer
  if (requiredScopes.length > 0)
    return `Use a token that has ${requiredScopes.join(' ')}; "latchkey status" shows what yours has.`
  if (outcomeOf(answer) !== 'tryAgain') return ''
  return answer.code === 'unreachable'
    ? 'Check LATCHKEY_URL or --url, and whether Latchkey runs there.'
    : `Try again${retryAfterSeconds === null ? '' : ` after ${retryAfterSeconds} s`}.`
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof Failure) return error.outcome
  if (!(error instanceof LatchkeyError)) return 'failed'
  const { status, code } = error
  // 409 as well, but of another kind: the same command again gets the answer.
  if (code === 'idempotency-in-progress') return 'tryAgain'
  return byStatus[status] ?? (status === 0 || status >= 500 ? 'tryAgain' : 'failed')
}

const byStatus: Record<number, Outcome> = {
  401: 'signIn',
  403: 'forbidden',
  404: 'notFound',
  408: 'tryAgain',
  409: 'conflict',
  412: 'conflict',
  422: 'conflict',
  429: 'tryAgain',
}
