// The guard for Express 5 (and 4): requireScopes('posts:read') in front of a handler.
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { admit, checkScopes, type GuardOptions } from './guard.ts'
import { httpRefusal } from './refusal.ts'
import type { Refused, Token, Verifier } from './verdict.ts'

export { createVerifier, type VerifierOptions } from './verifier.ts'

declare global {
  namespace Express {
    interface Request {
      /** The token that was let in; set by requireScopes. */
      auth?: Token
    }
  }
}

export type ExpressGuard = {
  /** Lets in only a token that has all the scopes; with none, any good token. @throws TypeError for what is no scope */
  requireScopes(...scopes: string[]): RequestHandler
}

export function createGuard(verifier: Verifier, options: GuardOptions<Request> = {}): ExpressGuard {
  return {
    requireScopes(...scopes) {
      checkScopes(scopes)
      return (request: Request, response: Response, next: NextFunction) => {
        const { authorization } = request.headers
        admit(verifier, options, { request, authorization, scopes, address: request.ip }).then((verdict) => {
          if (!verdict.active) return send(verdict, response)
          request.auth = verdict.token
          next()
        }, next)
      }
    },
  }
}

function send(refused: Refused, response: Response): void {
  const { status, headers, body } = httpRefusal(refused)
  response.status(status).set(headers).end(body)
}
