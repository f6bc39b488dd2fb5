// Whose tokens a caller may see at all.
import { may, type TokenPrincipal } from '../guard/principal.ts'
import { Problem } from '../http/problem.ts'
import type { TokenRow } from './queries.ts'

/** Another subject's token is answered like one that does not exist: who may not see it, may not learn of it. */
export function visible(row: TokenRow | undefined, caller: TokenPrincipal): TokenRow {
  if (
    row &&
    (row.subject === caller.facts.subject || row.id === caller.facts.tokenId || may(caller, 'tokens:admin'))
  )
    return row
  throw new Problem('not-found', 'There is no such token.')
}
