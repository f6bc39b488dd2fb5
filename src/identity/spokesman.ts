// Who may declare and publish for a service: an admin, or a token whose subject is the service itself.
import { may, type TokenPrincipal } from '../guard/principal.ts'
import { Problem } from '../http/problem.ts'
import { ownServiceId } from './own-scopes.ts'
import type { ServiceRow } from './queries.ts'

export function known(row: ServiceRow | undefined): ServiceRow {
  if (row) return row
  throw new Problem('not-found', 'There is no such service.')
}

export function refuseOwn(id: string): void {
  if (id === ownServiceId)
    throw new Problem('policy-violation', 'Latchkey’s own service is declared by Latchkey itself.')
}

export function refuseOtherServices(caller: TokenPrincipal, id: string): void {
  if (may(caller, 'services:admin') || caller.facts.subject === id) return
  throw new Problem(
    'policy-violation',
    `This token declares for the service ${caller.facts.subject} only; others need services:admin.`,
  )
}
