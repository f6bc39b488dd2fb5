// Kysely over in-process PGlite. One session: a transaction holds it, everything else waits its turn, so never
// query `db` inside a `trx` callback.
import type { PGlite } from '@electric-sql/pglite'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely'

export function pgliteDialect(pglite: PGlite): Dialect {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => pgliteDriver(pglite),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  }
}

function pgliteDriver(pglite: PGlite): Driver {
  const connection = pgliteConnection(pglite)
  let last = Promise.resolve()
  let release = () => {}
  return {
    async init() {},
    async acquireConnection() {
      const before = last
      let done = () => {}
      last = new Promise((resolve) => {
        done = resolve
      })
      await before
      release = done
      return connection
    },
    async releaseConnection() {
      release()
    },
    beginTransaction: async () => void (await pglite.query('begin')),
    commitTransaction: async () => void (await pglite.query('commit')),
    rollbackTransaction: async () => void (await pglite.query('rollback')),
    destroy: () => pglite.close(),
  }
}

function pgliteConnection(pglite: PGlite): DatabaseConnection {
  return {
    async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
      // query() takes one statement; only migrations send several, and they have no parameters.
      if (parameters.length === 0 && sql.includes(';')) {
        await pglite.exec(sql)
        return { rows: [] }
      }
      const result = await pglite.query<R>(sql, [...parameters])
      return { rows: result.rows, numAffectedRows: BigInt(result.affectedRows ?? 0) }
    },
    // biome-ignore lint/correctness/useYield: it only refuses
    async *streamQuery() {
      throw new Error('Streaming is not offered by the embedded store')
    },
  }
}
