// The guard for Hono 4: requireScopes('posts:read') in front of a handler.
import type { Context, MiddlewareHandler } from 'hono'
import { admit, checkScopes, type GuardOptions } from './guard.ts'
import { httpRefusal } from './refusal.ts'
import type { Token, Verifier } from './verdict.ts'

export { createVerifier, type VerifierOptions } from './verifier.ts'

/** What requireScopes adds: `c.get('auth')` is the token that was let in. */
export type AuthEnv = { Variables: { auth: Token } }

export type HonoGuard = {
  /** Lets in only a token that has all the scopes; with none, any good token. @throws TypeError for what is no scope */
  requireScopes(...scopes: string[]): MiddlewareHandler<AuthEnv>
}

export function createGuard(verifier: Verifier, options: GuardOptions<Context> = {}): HonoGuard {
  return {
    requireScopes(...scopes) {
      checkScopes(scopes)
      return async (c, next) => {
        const authorization = c.req.header('authorization')
        const verdict = await admit(verifier, options, {
          request: c,
          authorization,
          scopes,
          address: addressOf(c),
        })
        if (!verdict.active) {
          const { status, headers, body } = httpRefusal(verdict)
          return new Response(body, { status, headers })
        }
        c.set('auth', verdict.token)
        await next()
        return undefined
      }
    },
  }
}

/** The peer, when Hono runs on @hono/node-server; elsewhere, and behind a proxy, `clientIp` has to say. */
function addressOf(c: Context): string | undefined {
  const env = c.env as { incoming?: { socket?: { remoteAddress?: string } } } | undefined
  return env?.incoming?.socket?.remoteAddress
}
