// `latchkey bootstrap`: the first admin token, alone, on stdout, once.
import { Failure } from '../failure.ts'
import { local, readSettings } from './local.ts'

export const bootstrap = () =>
  local('bootstrap', 'Print the first admin token, alone, on stdout; once')
    .option('--force', 'also when there are tokens already')
    .action(async ({ force = false }: { force?: boolean }) => {
      const token = await adminToken(!force)
      if (token === null)
        throw new Failure(
          'failed',
          'not-the-first',
          'There are tokens already, so this is not the first.',
          'To make an admin token all the same: --force',
        )
      process.stdout.write(`${token}\n`)
      process.stderr.write('This is the admin token. It is not shown again.\n')
    })

async function adminToken(first: boolean): Promise<string | null> {
  const config = await readSettings()
  const [{ makeAdminToken }, { openStore }, { createLogger }, { prepareStore }, { createChange }] =
    await Promise.all([
      import('../../bootstrap.ts'),
      import('../../db/open.ts'),
      import('../../observe/logger.ts'),
      import('../../start.ts'),
      import('../../verify/change.ts'),
    ])
  const store = await openStore(config)
  try {
    const ring = await prepareStore(store, config, createLogger('silent'), Date.now)
    const change = createChange({ db: store.changes, replicas: null, forget: () => {} })
    const { tokenPrefix } = config
    return await makeAdminToken({ change, ring, tokenPrefix, now: Date.now }, { first })
  } finally {
    await store.close()
  }
}
