// RFC 7662 from what was sent to what is answered, for the route and for the lane in front of the router alike.
// Nothing is waited for when caller and token are remembered.
import type { GuardDependencies } from '../guard/guard.ts'
import type { Principal } from '../guard/principal.ts'
import type { ClientIp } from '../http/client-ip.ts'
import type { Asker, Question } from '../policy/judge.ts'
import { parseAddress } from '../policy/network.ts'
import { introspectionAnswer } from './answers.ts'
import { authenticateCaller } from './caller.ts'
import { type Form, readForm, required } from './form.ts'
import { OAuthError } from './oauth-error.ts'

export type Presented = {
  readonly authorization: string | undefined
  /** The body, as it was sent. */
  readonly form: string
  readonly from: () => ClientIp
}

export type IntrospectDependencies = {
  readonly guard: GuardDependencies
  readonly issuer: string
  readonly onChecked: (active: boolean) => void
}

export const introspectScopes = ['tokens:introspect'] as const

/** @returns the answer's body @throws OAuthError or Problem, at once or as a rejection */
export type Introspect = (presented: Presented) => string | Promise<string>

export function createIntrospect({ guard, issuer, onChecked }: IntrospectDependencies): Introspect {
  const answer = (form: Form, { asker }: Principal): string | Promise<string> => {
    const verdict = guard.verify(required(form, 'token'), questionOf(form, asker))
    const encode = (settled: Awaited<typeof verdict>) => {
      onChecked(settled.active)
      return introspectionAnswer(settled, asker, issuer)
    }
    return verdict instanceof Promise ? verdict.then(encode) : encode(verdict)
  }
  return ({ authorization, form: body, from }) => {
    const form = readForm(body)
    const caller = authenticateCaller(authorization, form, introspectScopes, from, guard)
    return caller instanceof Promise ? caller.then((known) => answer(form, known)) : answer(form, caller)
  }
}

const nothing: readonly string[] = []

/** Member by member: an object that is spread into another gets a shape of its own each time, which costs 20 µs. */
function questionOf(form: Form, asker: Asker): Question {
  const scope = form.get('scope')
  return {
    asker,
    clientIp: readClientIp(form),
    requiredScopes: scope === undefined ? nothing : scope.split(' ').filter((one) => one !== ''),
    team: form.get('team') ?? null,
  }
}

function readClientIp(form: Form) {
  const text = form.get('client_ip')
  if (text === undefined || text === '') return null
  const address = parseAddress(text)
  if (address) return address
  throw new OAuthError(400, 'invalid_request', 'client_ip is no IP address.')
}
