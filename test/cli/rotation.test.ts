// `latchkey token rotate` and `ensure` as a program: a new secret for a token that lives on, by hand and by schedule.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createCli } from '../helpers/cli.ts'
import { provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

const secretShape = /^lk_pat_[0-9A-Za-z]{36}$/

t.test('new secrets', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  latchkey.clock.now = Date.now()
  const { url, admin } = latchkey
  await registerPosts(latchkey)
  const cli = await createCli(whole, { LATCHKEY_URL: url, LATCHKEY_TOKEN: admin })
  const at = async (id: string) => (await latchkey.call('GET', `/api/v1/tokens/${id}`)).body
  const isGood = async (token: string) =>
    (await latchkey.call('GET', '/api/v1/tokens/self', undefined, { token })).status === 200
  const days = (expireAt: string) => Math.round((Date.parse(expireAt) - latchkey.clock.now) / 86_400_000)

  whole.test(
    'rotate gives another secret; the former ends at once, after a grace, or at the first use',
    async (t) => {
      const { id, token: first } = await provision(latchkey)
      const { token } = await cli.json(['token', 'rotate', id, '--yes'])
      t.match(token, { id, secretVersion: 2, token: secretShape })
      t.same([await isGood(first), await isGood(token.token)], [false, true])
      const graced = await cli.run(['token', 'rotate', id, '--grace', '1h', '--quiet'])
      t.match(graced, { code: 0, stdout: /^lk_pat_\w{36}\n$/ })
      t.ok(await isGood(token.token))
      const people = await cli.run([
        'token',
        'rotate',
        id,
        '--previous-ends',
        'first-use',
        '--expires-in',
        '3d',
      ])
      t.match(
        people.stdout,
        /^former secret: +works until the new one is used$[\s\S]*^secret, shown this once: +lk_pat_/m,
      )
      t.equal(days((await at(id)).expireAt), 3)
      await cli.run(['token', 'disable', id, '--yes'])
      t.match(await cli.run(['token', 'rotate', id, '--yes']), { code: 7, stderr: /disabled.*conflict/ })
    },
  )

  whole.test(
    'rotating the token of the login keeps the new secret; of another source, says where to replace it',
    async (t) => {
      const { id, token } = await provision(latchkey, {
        name: 'me',
        scopes: ['tokens:rotate-self', 'tokens:read'],
      })
      const mine = await createCli(t, { LATCHKEY_URL: url })
      await mine.run(['login', '--with-token'], { input: token })
      const rotated = await mine.json(['token', 'rotate', 'self', '--yes'])
      t.equal(rotated.token.id, id)
      t.match(await mine.json(['status']), { token: { id, secretVersion: 2 } })
      t.match(await readFile(join(mine.folder, 'config/latchkey/profile.json'), 'utf8'), rotated.token.token)
      const env = { LATCHKEY_TOKEN: rotated.token.token }
      const again = await mine.run(['token', 'rotate', 'self', '--grace', '1h'], { env })
      t.match(again, {
        code: 0,
        stderr: /This is the token from LATCHKEY_TOKEN, which still holds the former secret/,
      })
    },
  )

  whole.test('ensure creates, then does nothing, then rotates when too little remains', async (t) => {
    const args = [
      'token',
      'ensure',
      '--name',
      'job',
      '--subject',
      'ci',
      '--scope',
      'posts:read',
      '--expires-in',
      '30d',
      '--min-valid',
      '14d',
    ]
    await provision(latchkey, { name: 'job 2', subject: 'ci' })
    await provision(latchkey, { name: 'job', subject: 'other' })
    const created = await cli.json(args)
    t.match(created, { action: 'created', token: { name: 'job', subject: 'ci', token: secretShape } })
    const unchanged = await cli.json(args)
    t.match(unchanged, { action: 'unchanged', token: { id: created.token.id, secretVersion: 1 } })
    t.equal(unchanged.token.token, undefined)
    t.match(await cli.run([...args, '--quiet']), { code: 0, stdout: '', stderr: /good for long enough/ })
    t.match((await cli.run(args)).stdout, /^action: +unchanged$/m)

    await latchkey.call('PATCH', `/api/v1/tokens/${created.token.id}`, { expiresIn: '13d' })
    const rotated = await cli.json([...args, '--grace', '1h'])
    t.match(rotated, {
      action: 'rotated',
      token: { id: created.token.id, secretVersion: 2, token: secretShape },
    })
    t.equal(days(rotated.token.expireAt), 30)
    t.ok(await isGood(created.token.token), 'for as long as the grace')
    t.match(await cli.json(args), { action: 'unchanged' })

    await cli.run(['token', 'revoke', created.token.id, '--yes'])
    const quiet = await cli.run([...args, '--quiet'])
    t.match(quiet.stdout.trimEnd(), secretShape, 'what is revoked does not count')
  })

  whole.test('ensure touches none that is paused, otherwise than wanted, or not the only one', async (t) => {
    const ensure = (name: string, ...more: string[]) =>
      cli.run(['token', 'ensure', '--name', name, '--subject', 'ci', ...more])
    const { id } = await provision(latchkey, { name: 'narrow', subject: 'ci', scopes: ['posts:read'] })
    const wider = await ensure('narrow', '--scope', 'posts:write')
    t.match(wider, { code: 7, stderr: /scopes: is posts:read, wanted posts:write/ })
    t.match(await ensure('narrow', '--ip', '203.0.113.0/24'), { code: 7, stderr: /ip: is none, wanted 203/ })
    t.match(await ensure('narrow', '--type', 'service', '--team', 'a'), {
      code: 7,
      stderr: /type: .*; team: is none/,
    })
    await cli.run(['token', 'disable', id, '--yes'])
    t.match(await ensure('narrow'), { code: 7, stderr: /is disabled/ })
    for (const _ of [1, 2]) await provision(latchkey, { name: 'twice', subject: 'ci' })
    t.match(await ensure('twice'), { code: 7, stderr: /several tokens "twice": tok_\w+, tok_/ })
    t.match(await ensure('x', '--min-valid', 'soon'), {
      code: 2,
      stderr: /--min-valid "soon" is no duration/,
    })
    t.match(await ensure('x', '--min-valid', '7d', '--expires-in', '7d'), {
      code: 2,
      stderr: /every run would rotate/,
    })
  })
})
