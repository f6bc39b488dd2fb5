// All that is stored, for tests that say "and nothing was written".
import { sql } from 'kysely'
import type { Db } from '../../src/db/tables.ts'

const all =
  'token token_secret replay subject service service_secret scope scope_group service_document service_guidance trust_policy federated_use audit_event'.split(
    ' ',
  )

/** Every row that a request may change, as one text. Refused checks are left out: they are written now and then. */
export async function everyRow(db: Db): Promise<string> {
  const rows = await Promise.all(
    all.map((table) =>
      sql`select r::text from ${sql.table(table)} r
          where to_jsonb(r) ->> 'action' is distinct from 'token.refused' order by 1`.execute(db),
    ),
  )
  return JSON.stringify(rows.map((result) => result.rows))
}
