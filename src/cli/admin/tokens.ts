// `latchkey admin tokens`: everybody's tokens. What "latchkey token list" shows to an admin, and nothing to others.
import { Failure } from '../failure.ts'
import type { Remote } from '../remote.ts'
import { listing } from '../token/list.ts'
import type { Token } from '../token/view.ts'

export const tokens = () =>
  listing(
    'tokens',
    'List the tokens of all subjects, newest first; without --status, all but the revoked',
    admin,
  )

/** Else the list would be one's own, and look like everybody's. @throws Failure */
async function admin({ client }: Remote): Promise<void> {
  const { body } = await client.call<Token>('GET', '/api/v1/tokens/self')
  if (body.scopes.includes('tokens:admin')) return
  throw new Failure(
    'forbidden',
    'insufficient-scope',
    'This token sees the tokens of its own subject only.',
    'Use a token that has tokens:admin. Your own: latchkey token list',
  )
}
