// `latchkey migrate`: the schema, without starting the service. Several at once are safe.
import { readConfig } from '../config.ts'
import { migrate } from '../db/migrate.ts'
import { openStore } from '../db/open.ts'

export async function migrateCommand(): Promise<void> {
  const store = await openStore(readConfig())
  try {
    const applied = await migrate(store.db)
    process.stderr.write(applied.length > 0 ? `Applied ${applied.join(', ')}.\n` : 'Nothing to do.\n')
  } finally {
    await store.close()
  }
}
