// `latchkey migrate`: the schema, without starting the service. Several at once are safe.
import { local, readSettings } from './local.ts'

export const migrate = () =>
  local('migrate', 'Bring the database to the schema of this version').action(async () => {
    const [{ openStore }, { migrate }] = await Promise.all([
      import('../../db/open.ts'),
      import('../../db/migrate.ts'),
    ])
    const store = await openStore(await readSettings())
    try {
      const applied = await migrate(store.db)
      process.stderr.write(applied.length > 0 ? `Applied ${applied.join(', ')}.\n` : 'Nothing to do.\n')
    } finally {
      await store.close()
    }
  })
