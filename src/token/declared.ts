// The declared scopes as the token room needs them: by name, with all that each reaches.
import type { Trx } from '../db/tables.ts'
import { type ScopeRow, scopes } from '../identity/queries.ts'

export type Declared = ReadonlyMap<string, ScopeRow>

export const declaredNow = async (trx: Trx): Promise<Declared> =>
  new Map((await scopes(trx)).map((row) => [row.name, row]))
