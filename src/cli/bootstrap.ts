// `latchkey bootstrap`: the first admin token, alone, on stdout, once.
import { makeAdminToken } from '../bootstrap.ts'
import { readConfig } from '../config.ts'
import { openStore } from '../db/open.ts'
import { createLogger } from '../observe/logger.ts'
import { prepareStore } from '../start.ts'
import { createChange } from '../verify/change.ts'

export async function bootstrap(args: readonly string[]): Promise<void> {
  const config = readConfig()
  const store = await openStore(config)
  try {
    const ring = await prepareStore(store, config, createLogger('silent'), Date.now)
    const change = createChange({ db: store.changes, replicas: null, forget: () => {} })
    const { tokenPrefix } = config
    const token = await makeAdminToken(
      { change, ring, tokenPrefix, now: Date.now },
      { first: !args.includes('--force') },
    )
    if (token === null) {
      throw new Error(
        'There are tokens already, so this is not the first. To make an admin token all the same: --force',
      )
    }
    process.stdout.write(`${token}\n`)
    process.stderr.write('This is the admin token. It is not shown again.\n')
  } finally {
    await store.close()
  }
}
