// POST /oauth2/introspect in front of the router: the same introspect, the same headers, the same refusals.
import { type ClientIp, clientIp } from '../http/client-ip.ts'
import type { Lane, LaneAnswer } from '../http/lane.ts'
import type { RequestHead } from '../http/plain-request.ts'
import type { Range } from '../policy/network.ts'
import type { Introspect } from './introspect.ts'
import { oauthErrorAnswer } from './oauth-error.ts'

export const introspectionHeaders = { 'content-type': 'application/json; charset=utf-8', pragma: 'no-cache' }

const path = '/oauth2/introspect'
const headers = Object.entries(introspectionHeaders).flat()

export type IntrospectionLaneDependencies = {
  readonly introspect: Introspect
  readonly trustedProxies: readonly Range[]
  readonly onTrouble: (error: Error) => void
}

export function introspectionLane({
  introspect,
  trustedProxies,
  onTrouble,
}: IntrospectionLaneDependencies): Lane {
  const answered = (body: string): LaneAnswer => ({ status: 200, headers, body })
  const refused = (error: Error): LaneAnswer => {
    const { status, headers: more, body } = oauthErrorAnswer(error)
    if (status >= 500) onTrouble(error)
    return {
      status,
      headers: ['content-type', introspectionHeaders['content-type'], ...Object.entries(more).flat()],
      body,
    }
  }
  return {
    takes: ({ method, url }) => url === path && method === 'POST',
    route: path,
    contentType: 'application/x-www-form-urlencoded',
    answer(request, form) {
      try {
        const answer = introspect(presentedBy(request, form, trustedProxies))
        return answer instanceof Promise ? answer.then(answered, refused) : answered(answer)
      } catch (error) {
        return refused(error as Error)
      }
    },
  }
}

function presentedBy(request: RequestHead, form: string, trustedProxies: readonly Range[]) {
  return {
    authorization: request.headers.authorization,
    form,
    from: (): ClientIp => clientIp(request, trustedProxies),
  }
}
