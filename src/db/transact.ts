// A transaction whose statements leave for the server as soon as they are asked for, not each after the answer to the
// one before: waking two processes takes longer than most statements do. What does not depend on an answer is
// asked for together (Promise.all), and is done in the order in which it was asked for.
import { CompiledQuery, type KyselyProps, Transaction } from 'kysely'
import type { Db, Tables, Trx } from './tables.ts'

/**
 * Begins, works, and commits; rolls back, and rejects, if anything fails.
 * @param last the last statement of all, which the commit is sent along with: if it fails, nothing is committed
 */
export type Transact = <T>(
  work: (trx: Trx) => Promise<T>,
  last?: (trx: Trx) => Promise<unknown>,
) => Promise<T>

export function transactOn(db: Db): Transact {
  const executor = db.getExecutor()
  return (work, last) =>
    executor.provideConnection(async (connection) => {
      let isOver = false
      const run = (text: string) => connection.executeQuery(CompiledQuery.raw(text))
      const trx = new Transaction<Tables>({
        ...unused,
        executor: executor.withConnectionProvider({
          // Kysely's own would wait for the answer to what was asked for before.
          provideConnection: async (consumer) => {
            if (isOver) throw new Error('The transaction is over')
            return consumer(connection)
          },
        }),
      })
      const begun = run('begin')
      // Waited for with the rest; what follows on a connection that is lost, fails by itself.
      begun.catch(() => {})
      try {
        const value = await work(trx)
        // The server makes a rollback of the commit if the last statement has failed.
        await Promise.all([begun, last?.(trx), run('commit')])
        return value
      } catch (error) {
        // If that fails, the connection is lost, and with it the transaction.
        await run('rollback').catch(() => {})
        throw error
      } finally {
        isOver = true
      }
    })
}

/** Asked only for what such a transaction does not have: savepoints, and transactions within. */
const unused = { config: {}, dialect: {}, driver: {} } as Omit<KyselyProps, 'executor'>
