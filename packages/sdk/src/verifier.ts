// Secret → Verdict: refused offline, or answered from memory while the lease holds, or asked of Latchkey. "No" is where
// it starts; every failure ends there. This file connects the others.
import { createAsk } from './ask.ts'
import { createFlights } from './flights.ts'
import { checkQuestion, judge, missingScopes } from './judge.ts'
import { latchkeyAt, type ServiceCredentials } from './latchkey.ts'
import { type Known, keyOf } from './memory.ts'
import { createRecall, type Guards } from './recall.ts'
import { refuse, type Wording } from './refusal.ts'
import { secretShape } from './secret-shape.ts'
import type { Question, Verdict, Verifier } from './verdict.ts'

export type VerifierOptions = ServiceCredentials &
  Wording & {
    /** Prefixes of tokens, the present one and past ones. Default: `['lk']`. */
    readonly prefixes?: readonly string[]
    /** Tokens remembered at most, 0 for none. Default: 10,000. */
    readonly maxRemembered?: number
    /** Seconds for which a good token is remembered, at most; never beyond its end. Default: 30. */
    readonly rememberSeconds?: number
    /** The same for one that is refused. Default: 5. */
    readonly rememberRefusedSeconds?: number
    /** Milliseconds to wait for Latchkey's answer. Default: 2,000. */
    readonly timeoutMs?: number
    /** Told when Latchkey is away or refuses our credentials; no message has a secret in it. Default: nobody. */
    readonly onTrouble?: (message: string) => void
    /** Epoch milliseconds, for tests. */
    readonly now?: () => number
    /** Milliseconds that never go back, for tests. */
    readonly monotonic?: () => number
    /** For tests. Default: the platform's. */
    readonly fetch?: typeof fetch
  }

/**
 * Nothing is sent before the first token is seen; from then on it listens to Latchkey, until close().
 * @throws TypeError when an option is missing or wrong
 */
export function createVerifier(options: VerifierOptions): Verifier {
  return verifierWith(options, { lease: (made) => made, fence: (made) => made })
}

export function verifierWith(options: VerifierOptions, guards: Guards): Verifier {
  const { now = Date.now, monotonic = () => performance.now() } = options
  const onTrouble = told(options.onTrouble)
  const latchkey = latchkeyAt(options)
  const shape = secretShape(options.prefixes ?? ['lk'])
  const recall = createRecall(latchkey, { limits: limitsOf(options), monotonic, guards, onTrouble })
  const flights = createFlights<Known>(recall, monotonic)
  const ask = createAsk(latchkey, {
    timeoutMs: options.timeoutMs ?? 2_000,
    now,
    fetch: options.fetch ?? globalThis.fetch,
    onTrouble,
  })
  let closed = false

  async function learn(key: string, secret: string, question: Question, askedAt: number): Promise<Known> {
    const { known, certain } = await ask(secret, question)
    if (certain) recall.keep(key, known, askedAt)
    return known
  }

  async function knownOf(secret: string, question: Question): Promise<Known> {
    if (closed) return { token: null, reason: 'closed' }
    if (!shape(secret)) return { token: null, reason: 'malformed' }
    recall.start()
    const key = keyOf(secret)
    if (question.fresh) return learn(key, secret, question, monotonic())
    return recall.get(key) ?? flights.share(key, (askedAt) => learn(key, secret, question, askedAt))
  }

  return {
    url: latchkey.url,
    async verify(secret, question = {}) {
      checkQuestion(question)
      if (typeof secret !== 'string') return refuse('no_token', question, options)
      return verdictOn(await knownOf(secret, question), question, now(), options)
    },
    close() {
      closed = true
      recall.stop()
    },
  }
}

/** @param now epoch milliseconds */
export function verdictOn(known: Known, question: Question, now: number, wording: Wording): Verdict {
  const { token } = known
  if (!token) return refuse(known.reason, question, wording)
  const reason = judge(token, question, now)
  if (reason === null) return { active: true, token }
  return refuse(reason, question, wording, reason === 'missing_scope' ? missingScopes(token, question) : [])
}

/** Whatever it does with what it is told must not fail the request. */
function told(onTrouble: ((message: string) => void) | undefined): (message: string) => void {
  return (message) => {
    try {
      onTrouble?.(message)
    } catch {}
  }
}

function limitsOf({
  rememberSeconds = 30,
  rememberRefusedSeconds = 5,
  maxRemembered = 10_000,
}: VerifierOptions) {
  const wrong = [rememberSeconds, rememberRefusedSeconds, maxRemembered].some((limit) => !(limit >= 0))
  if (wrong) throw new TypeError('createVerifier: a limit of memory is negative or no number')
  return { goodMs: rememberSeconds * 1000, refusedMs: rememberRefusedSeconds * 1000, most: maxRemembered }
}
