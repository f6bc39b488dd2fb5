// Makes one file of plain JavaScript of replica.ts, all of src and what that imports, as they are now: a replica then starts in
// half a second, where the modules one by one take two, and nobody's half-finished edit gets between two starts of one run.
// Types are not checked here.
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))

export type Build = { readonly entry: string; remove(): Promise<void> }

export async function buildReplica(): Promise<Build> {
  await mkdir(join(root, '.tap'), { recursive: true })
  const folder = await mkdtemp(join(root, '.tap', 'faults-'))
  const entry = join(folder, 'src/db/replica.js')
  await build({
    entryPoints: [join(root, 'test/faults/replica.ts')],
    outfile: entry,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    // What is native, what reads files of its own, and what no replica on PostgreSQL loads.
    external: ['@node-rs/argon2', '@fastify/swagger-ui', '*/embedded.ts', 'pg-native'],
    // Some packages are CommonJS, and expect what that has.
    banner: {
      js: `import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
const __dirname = import.meta.dirname`,
    },
    logLevel: 'error',
  })
  // Read at run time, by their place relative to the module that reads them: src/db/migrate.ts, src/version.ts.
  await symlink(join(root, 'migrations'), join(folder, 'migrations'))
  await symlink(join(root, 'package.json'), join(folder, 'src/package.json'))
  return { entry, remove: () => rm(folder, { recursive: true, force: true }) }
}
