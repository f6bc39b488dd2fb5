// A service declares its scopes, all at once: checked as a whole, then put in place of the former ones.
import type { Db, Trx } from '../db/tables.ts'
import { didYouMean } from '../http/nearest.ts'
import { fieldProblem, Problem } from '../http/problem.ts'
import { closure } from '../policy/scopes.ts'
import { ownGroup, ownScopes, ownServiceId } from './own-scopes.ts'
import {
  addService,
  replaceScopes,
  type ScopeGroupRow,
  type ScopeRow,
  scopes as scopesOf,
} from './queries.ts'

export type ScopeDeclaration = {
  readonly groups: readonly { readonly id: string; readonly title: string }[]
  readonly scopes: readonly {
    readonly name: string
    readonly title: string
    readonly group: string
    readonly description?: string
    readonly risk?: 'low' | 'medium' | 'high'
    readonly implies?: readonly string[]
    readonly maxLifetimeDays?: number
  }[]
}

/** @throws Problem naming the first scope or group that is wrong */
export async function declareScopes(
  trx: Trx,
  serviceId: string,
  declaration: ScopeDeclaration,
): Promise<void> {
  refuseRepeated(
    '/groups',
    declaration.groups.map((group) => group.id),
  )
  refuseRepeated(
    '/scopes',
    declaration.scopes.map((scope) => scope.name),
  )
  await refuseOthers(trx, serviceId, declaration)
  const rows = scopeRows(serviceId, declaration)
  const got = await replaceScopes(trx, serviceId, groupRows(serviceId, declaration), rows)
  const lost = rows.find((row) => !got.includes(row.name))
  if (lost) throw new Problem('conflict', `The scope "${lost.name}" is being declared by another service.`)
}

/** Latchkey's own, at every start; nothing is written when nothing has changed. */
export async function declareOwnScopes(db: Db, now: Date): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const row = {
      id: ownServiceId,
      name: 'Latchkey',
      description: null,
      base_url: null,
      checks_ip: false,
      created_at: now,
    }
    await addService(trx, row)
    const present = (await scopesOf(trx)).filter((scope) => scope.service_id === ownServiceId)
    const wanted = scopeRows(ownServiceId, { groups: [ownGroup], scopes: ownScopes })
    if (JSON.stringify(present.map(inOrder)) === JSON.stringify(wanted.map(inOrder))) return
    await declareScopes(trx, ownServiceId, { groups: [ownGroup], scopes: ownScopes })
  })
}

const inOrder = (row: ScopeRow) => Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))

function groupRows(serviceId: string, { groups }: ScopeDeclaration): ScopeGroupRow[] {
  return groups.map(({ id, title }, position) => ({ service_id: serviceId, id, title, position }))
}

function scopeRows(serviceId: string, { groups, scopes }: ScopeDeclaration): ScopeRow[] {
  const groupIds = new Set(groups.map((group) => group.id))
  const implies = new Map(scopes.map((scope) => [scope.name, scope.implies ?? []]))
  return scopes.map((scope, position) => {
    if (!groupIds.has(scope.group)) throw unknownName(`/scopes/${position}/group`, scope.group, groupIds)
    // Only its own: a service must not be able to give away what another one guards.
    const foreign = (scope.implies ?? []).find((name) => !implies.has(name))
    if (foreign !== undefined) throw unknownName(`/scopes/${position}/implies`, foreign, implies.keys())
    return {
      name: scope.name,
      service_id: serviceId,
      group_id: scope.group,
      title: scope.title,
      description: scope.description ?? null,
      risk: scope.risk ?? 'medium',
      implies: [...(scope.implies ?? [])],
      closure: closure(scope.name, implies),
      max_lifetime_days: scope.maxLifetimeDays ?? null,
      position,
    }
  })
}

function unknownName(pointer: string, name: string, known: Iterable<string>): Problem {
  return fieldProblem(pointer, `"${name}" is not declared in this request.${didYouMean(name, known)}`)
}

function refuseRepeated(pointer: string, names: readonly string[]): void {
  const at = names.findIndex((name, index) => names.indexOf(name) !== index)
  if (at >= 0) throw fieldProblem(`${pointer}/${at}`, `"${names[at]}" is declared twice.`)
}

async function refuseOthers(trx: Trx, serviceId: string, { scopes }: ScopeDeclaration): Promise<void> {
  const names = new Set(scopes.map((scope) => scope.name))
  const taken = (await scopesOf(trx)).find((row) => names.has(row.name) && row.service_id !== serviceId)
  if (taken)
    throw new Problem('conflict', `The scope "${taken.name}" is declared by the service ${taken.service_id}.`)
}
