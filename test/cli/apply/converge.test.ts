// However a run of `latchkey apply` ends in the middle, the next one brings about what the file says, with secrets that
// work, and nothing is down meanwhile.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { isOpen } from '../../../src/cli/apply/plan.ts'
import {
  type Applying,
  actionsOf,
  applying,
  type File,
  fileOf,
  secretsWork,
  stepsFor,
} from '../../helpers/apply.ts'
import { answers, loses, type Moment, putInFront } from '../../helpers/bad-moments.ts'
import { cliFile } from '../../helpers/cli.ts'
import { startLatchkey } from '../../helpers/latchkey.ts'

t.test('a run that ends in the middle', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  latchkey.clock.now = Date.now()
  const front = await putInFront(whole, latchkey.url)
  const down = answers(500, {}, '{"code":"internal-error","detail":"Something went wrong."}')
  const changesLeft = async (file: File) =>
    (await stepsFor(file, { url: latchkey.url, token: latchkey.admin, folder: null })).filter(isOpen)

  const atChange = (nth: number, moment: Moment) => front.writes.push(...new Array(nth).fill(null), moment)

  /** Killed when what it asked for is done, before it is told. */
  async function killedAt(nth: number, { cli, file, folder }: Applying): Promise<void> {
    const args = [cliFile, 'apply', '-f', file, '--secrets-dir', folder, '--yes']
    const child = spawn(process.execPath, args, { env: cli.env, stdio: 'ignore' })
    const killed: Moment = async (response, pass) => {
      await pass()
      child.kill('SIGKILL')
      response.destroy()
    }
    atChange(nth, killed)
    const [, signal] = await once(child, 'close')
    if (signal !== 'SIGKILL') throw new Error('It was not killed')
  }

  const meeting = (moment: Moment) => (nth: number, applied: Applying) => {
    atChange(nth, moment)
    return applied.run('--yes')
  }
  const endings: [how: string, run: (nth: number, applied: Applying) => Promise<unknown>][] = [
    ['fails', meeting(down)],
    ['is not answered', meeting(loses)],
    ['is killed', killedAt],
  ]
  for (const [number, [how, ended]] of endings.entries()) {
    for (const nth of [0, 1, 2, 3]) {
      whole.test(`${how} at its change ${nth + 1}: the next one completes it`, async (t) => {
        const id = `new${number}${nth}`
        const applied = await applying(t, front.url, latchkey.admin)
        const file = fileOf(id)
        await applied.write(file)
        await ended(nth, applied)
        await completed(t, applied, file, id)
      })
    }
    for (const nth of [0, 1]) {
      whole.test(
        `${how} at change ${nth + 1} of a replacement: nothing is down, and the next one completes it`,
        async (t) => {
          const id = `again${number}${nth}`
          const applied = await applying(t, front.url, latchkey.admin)
          const file = fileOf(id)
          await applied.apply(file)
          file.tokens[0].scopes = [`${id}:write`]
          await applied.write(file)
          await ended(nth, applied)
          t.match(await secretsWork(latchkey, applied, id), { active: true }, 'the secret that is known')
          await completed(t, applied, file, id)
          const [now, former] = (await latchkey.call('GET', `/api/v1/tokens?subject=of_${id}`)).body
          t.match(now, { scopes: [`${id}:write`], metadata: { replaces: former.id } })
          t.ok(Date.parse(former.expireAt) < Date.now() + 90_000_000, 'the former one ends within a day')
        },
      )
    }
  }

  async function completed(t: Test, applied: Applying, file: File, id: string): Promise<void> {
    front.writes.length = 0
    const next = await applied.run('--yes')
    t.equal(next.code, 0, next.stderr)
    t.same(await changesLeft(file), [])
    const scope = file.tokens[0].scopes[0] === `${id}:read` ? `${id}:read` : `${id}:read ${id}:write`
    t.same(await secretsWork(latchkey, applied, id), { status: 200, active: true, scope })
    t.same((await readdir(applied.folder)).sort(), [`${id}.client-secret`, `of_${id}.backup.token`])
  }

  whole.test('it says what was done and what not, and ends with the code of what went wrong', async (t) => {
    const { run, write, apply, folder } = await applying(t, front.url, latchkey.admin)
    const file = fileOf('told')
    await write(file)
    front.writes.push(null, down)
    const failed = await run('--yes')
    t.match(failed, { code: 8, stderr: /^latchkey: Something went wrong\./ })
    t.match(failed.stdout, /^\+ create service told: done\n/)
    t.match(failed.stdout, /\n\+ create scopes of told: failed\n/)
    t.match(failed.stdout, /\n\+ create token backup of of_told: not done\n/)
    t.match(failed.stdout, /\n1 done, 1 failed, 2 not done; 0 as the file says\.\n$/)
    front.writes.push(answers(403, {}, '{"code":"policy-violation","detail":"Not you."}'))
    const refused = await run('--yes', '--json')
    t.equal(refused.code, 5)
    const { changed, applied, steps } = JSON.parse(refused.stdout)
    t.same([changed, applied], [false, false])
    t.same(
      steps.map(({ state }: { state: string }) => state),
      ['as it is', 'failed', 'not done', 'not done'],
    )
    t.same(await readdir(folder), ['told.client-secret'], 'a refusal leaves no mark')
    t.same(actionsOf(await apply(file)), [
      'create scopes told',
      'create trust policy told deploys',
      'create token backup',
    ])
  })
})
