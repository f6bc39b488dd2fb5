// A statement of which only the values change: put together by Kysely once, then sent as it is. For what every change
// asks for, putting it together each time took as long as sending it.
import { CompiledQuery, type QueryResult, type RawBuilder, sql } from 'kysely'
import type { Db } from './tables.ts'

/** What a statement is given each time; while it is put together, the places where that goes. */
export type Given<Values> = { readonly [Name in keyof Values]: RawBuilder<Values[Name]> }

class Place {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/**
 * @param build called once, with the first database that asks: the text must not depend on anything else
 * @returns what runs it, on a database or within a transaction
 */
export function statement<Values extends object, Row>(
  build: (db: Db, given: Given<Values>) => { compile(db: Db): CompiledQuery<Row> },
): (db: Db, values: Values) => Promise<QueryResult<Row>> {
  const given = new Proxy({} as Given<Values>, { get: (_, name) => sql.val(new Place(String(name))) })
  let built: CompiledQuery<Row> | null = null
  return (db, values) => {
    built ??= build(db, given).compile(db)
    const parameters = built.parameters.map((one) =>
      one instanceof Place ? values[one.name as keyof Values] : one,
    )
    return db.executeQuery(CompiledQuery.raw(built.sql, parameters) as CompiledQuery<Row>)
  }
}
