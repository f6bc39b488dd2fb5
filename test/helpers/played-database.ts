// A database that is none: what it says to each statement, the test says.
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely'
import type { Db, Tables } from '../../src/db/tables.ts'

/** @param answer the rows, or a rejection; statements arrive in the order in which they were asked for */
export function playedDatabase(answer: (query: CompiledQuery) => Promise<readonly object[]>): Db {
  const executeQuery = async (query: CompiledQuery) => ({ rows: await answer(query) })
  const driver = {
    init: async () => {},
    acquireConnection: async () => ({ executeQuery }),
    releaseConnection: async () => {},
    beginTransaction: (connection: DatabaseConnection) => connection.executeQuery(CompiledQuery.raw('begin')),
    commitTransaction: (connection: DatabaseConnection) =>
      connection.executeQuery(CompiledQuery.raw('commit')),
    rollbackTransaction: (connection: DatabaseConnection) =>
      connection.executeQuery(CompiledQuery.raw('rollback')),
  }
  return new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => driver as unknown as Driver,
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
}
