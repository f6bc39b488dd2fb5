// What `npm pack` makes of the two packages, installed side by side: the command line runs from it.
import { execFile } from 'node:child_process'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { version } from '../../src/version.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))

t.test('the command line runs from the tarballs of latchkey and @latchkey/sdk', async (t) => {
  // Inside the repository: what the two depend on is found in its node_modules.
  const folder = t.testdir()
  const options = ['pack', '--ignore-scripts', '--pack-destination', folder]
  await run('npm', [...options, '.', './packages/sdk'], { cwd: root })
  const tarballs = await readdir(folder)
  for (const [file, name] of [
    [`latchkey-${version}.tgz`, 'latchkey'],
    [`latchkey-sdk-${version}.tgz`, '@latchkey/sdk'],
  ] as const) {
    t.ok(tarballs.includes(file), `${file} of ${tarballs}`)
    const installed = join(folder, 'node_modules', name)
    await mkdir(installed, { recursive: true })
    await run('tar', ['-xzf', join(folder, file), '-C', installed, '--strip-components=1'])
  }
  const latchkey = join(folder, 'node_modules/latchkey')
  const command = join(latchkey, 'bin/latchkey.js')
  const { stdout } = await run(process.execPath, [command, 'version'], { cwd: folder })
  t.equal(stdout, `${version}\n`)
  const status = run(process.execPath, [command, 'migrate'], { cwd: folder, env: { DATABASE_URL: 'x' } })
  await t.rejects(status, { code: 2, stderr: /DATABASE_URL must be/ } as never, 'and what needs the database')
  const files = (await readdir(latchkey, { recursive: true })).filter((name) =>
    /(^|\/)(test|\.latchkey|secrets)\//.test(name),
  )
  t.same(files, [], 'and nothing that is not meant')
})
