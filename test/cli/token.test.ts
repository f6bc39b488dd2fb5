// `latchkey token …` as a program: what each command does, in the form for people, with --json and with --quiet.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { type Cli, createCli } from '../helpers/cli.ts'
import { type Latchkey, provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

const secretShape = /^lk_(pat|svc)_[0-9A-Za-z]{36}$/

t.test('latchkey token', async (whole) => {
  const latchkey: Latchkey = await startLatchkey(whole, 'pglite')
  latchkey.clock.now = Date.now()
  const { url, admin } = latchkey
  await registerPosts(latchkey)
  await latchkey.call('PUT', '/api/v1/services/posts/scopes', {
    groups: [{ id: 'content', title: 'Content' }],
    scopes: [
      { name: 'posts:read', title: 'Read posts', group: 'content', risk: 'low' },
      { name: 'posts:write', title: 'Write posts', group: 'content', implies: ['posts:read'] },
    ],
    presets: [{ id: 'publish', title: 'Publish', scopes: ['posts:write'], expiresInDays: 7 }],
  })
  const cli: Cli = await createCli(whole, { LATCHKEY_URL: url, LATCHKEY_TOKEN: admin })
  const at = async (id: string) => (await latchkey.call('GET', `/api/v1/tokens/${id}`)).body
  const isGood = async (token: string) =>
    (await latchkey.call('GET', '/api/v1/tokens/self', undefined, { token })).status === 200
  const days = (expireAt: string) => Math.round((Date.parse(expireAt) - latchkey.clock.now) / 86_400_000)

  whole.test('create makes what was asked for, and says it in each form', async (t) => {
    const words =
      'token create --name all --type service --subject user_1 --scope posts:read,posts:write --team team_a --audience posts --ip 203.0.113.0/24,2001:db8::/32 --expires-in 30d --metadata repo=acme/site --metadata a=b=c'
    const args = [...words.split(' '), '--description', 'more about it']
    const { token } = await cli.json(args)
    t.match(token, {
      name: 'all',
      type: 'service',
      subject: 'user_1',
      scopes: ['posts:read', 'posts:write'],
      team: 'team_a',
      audience: ['posts'],
      ipRestriction: '203.0.113.0/24, 2001:db8::/32',
      metadata: { repo: 'acme/site', a: 'b=c' },
      description: 'more about it',
      token: secretShape,
    })
    t.equal(days(token.expireAt), 30)
    const people = await cli.run(['token', 'provision', '--name', 'p'])
    t.match(people, { code: 0, stderr: '' })
    t.match(
      people.stdout,
      /^id: +tok_\w+$[\s\S]*^subject: +admin$[\s\S]*^secret, shown this once: +lk_pat_\w+$/m,
    )
    const quiet = await cli.run(['token', 'create', '--name', 'q', '--quiet'])
    t.match(quiet.stdout.trimEnd(), secretShape)
    t.equal(quiet.stdout.split('\n').length, 2, 'and nothing else')
  })

  whole.test('an end is a duration, a time or never; two of them are refused', async (t) => {
    const end = async (...args: string[]) =>
      (await cli.json(['token', 'create', '--name', 'e', ...args])).token.expireAt
    t.equal(days(await end()), 90)
    t.equal(days(await end('--expires-in', '86400')), 1)
    t.equal(await end('--expires-at', '2099-01-01T00:00:00Z'), '2099-01-01T00:00:00.000Z')
    t.equal(await end('--never-expires'), null)
    t.match(await cli.run(['token', 'create', '--name', 'e', '--never-expires', '--expires-in', '1d']), {
      code: 2,
    })
  })

  whole.test('a preset of the catalog is its scopes and its lifetime', async (t) => {
    const { token } = await cli.json([
      'token',
      'create',
      '--name',
      'p',
      '--preset',
      'publish',
      '--scope',
      'posts:read',
    ])
    t.same(token.scopes, ['posts:read', 'posts:write'])
    t.equal(days(token.expireAt), 7)
    const longer = ['--preset', 'posts/publish', '--expires-in', '20d']
    t.equal(days((await cli.json(['token', 'create', '--name', 'p', ...longer])).token.expireAt), 20)
    const unknown = await cli.run(['token', 'create', '--name', 'p', '--preset', 'pubish'])
    t.match(unknown, { code: 2, stderr: /no preset "pubish".*\n.*posts\/publish/ })
  })

  whole.test('what is missing or mistyped is named, and no token is made', async (t) => {
    t.match(await cli.run(['token', 'create']), { code: 2, stderr: /'--name <name>' not specified/ })
    const scope = await cli.run(['token', 'create', '--name', 'never made', '--scope', 'posts:raed'])
    t.match(scope, { code: 1, stderr: /posts:raed.*unknown-scope.*\n.*\/problems\/unknown-scope/ })
    t.match(await cli.run(['token', 'create', '--name', 'never made', '--metadata', 'k']), {
      code: 2,
      stderr: /--metadata "k"/,
    })
    t.same((await cli.json(['token', 'list', '--search', 'never made'])).tokens, [])
  })

  whole.test('get and usage show a token in each form; another is exit 6', async (t) => {
    const { id } = await provision(latchkey)
    t.match(await cli.json(['token', 'get', id]), { token: { id, name: 'ci', active: true } })
    t.match(
      (await cli.run(['token', 'get', id])).stdout,
      new RegExp(`^id: +${id}\n[\\s\\S]*^scopes: +posts:read$`, 'm'),
    )
    t.equal((await cli.run(['token', 'get', id, '--quiet'])).stdout, `${id}\n`)
    t.match(await cli.json(['token', 'get', 'self']), { token: { name: 'admin' } })
    t.match(await cli.json(['token', 'usage', id]), { usage: { id, useCount: 0, lastUsedAt: null } })
    t.match((await cli.run(['token', 'usage', id])).stdout, /^uses: +0\nlast used: +never\n/m)
    t.equal((await cli.run(['token', 'usage', id, '--quiet'])).stdout, `${id}\n`)
    for (const verb of ['get', 'usage', 'enable'])
      for (const other of ['tok_nothere', '..', ' '])
        t.match(await cli.run(['token', verb, other]), { code: 6, stderr: /not-found/ }, `${verb} "${other}"`)
  })

  whole.test('update narrows and renames, leaves the rest, and does not widen', async (t) => {
    const { id } = await provision(latchkey, { scopes: ['posts:write'], metadata: { a: 'b' } })
    const { token } = await cli.json([
      'token',
      'update',
      id,
      '--name',
      'n',
      '--scope',
      'posts:read',
      '--ip',
      '203.0.113.7',
    ])
    t.match(token, {
      id,
      name: 'n',
      scopes: ['posts:read'],
      ipRestriction: /^203\.0\.113\.7/,
      metadata: { a: 'b' },
    })
    t.match((await cli.run(['token', 'update', id, '--description', 'd'])).stdout, /^description: +d$/m)
    t.equal((await cli.run(['token', 'update', id, '--description', '', '--quiet'])).stdout, `${id}\n`)
    t.equal((await at(id)).description, null)
    t.match(await cli.run(['token', 'update', id, '--scope', 'posts:write']), {
      code: 5,
      stderr: /never widened/,
    })
    t.match(await cli.run(['token', 'update', id]), { code: 2, stderr: /nothing to change/ })
  })

  whole.test('revoke ends it for ever, and the login by it; revoking again is no error', async (t) => {
    const one = await provision(latchkey)
    t.match(await cli.json(['token', 'revoke', one.id, '--yes']), {
      revoked: { id: one.id, message: 'Token revoked' },
    })
    t.notOk(await isGood(one.token))
    t.match(
      (await cli.run(['token', 'revoke', one.id, '--yes'])).stdout,
      /^message: +Token was already revoked$/m,
    )
    t.equal((await cli.run(['token', 'revoke', one.id, '--yes', '--quiet'])).stdout, `${one.id}\n`)
    t.match(await cli.run(['token', 'revoke', 'tok_nothere', '--yes']), { code: 6 })

    const mine = await createCli(t, { LATCHKEY_URL: url })
    await mine.run(['login', '--with-token'], { input: (await provision(latchkey, { scopes: [] })).token })
    t.match(await mine.run(['token', 'revoke', 'self', '--yes']), { code: 0 })
    t.match(await mine.run(['status']), { code: 4, stderr: /Not signed in/ })
  })

  whole.test('disable pauses and enable goes on, in each form', async (t) => {
    const { id, token } = await provision(latchkey)
    t.match(await cli.json(['token', 'disable', id, '--yes']), { token: { id, status: 'disabled' } })
    t.notOk(await isGood(token))
    t.match(await cli.json(['token', 'enable', id]), { token: { id, status: 'active' } })
    t.ok(await isGood(token))
    t.match((await cli.run(['token', 'disable', id, '--yes'])).stdout, /^status: +disabled$/m)
    t.match((await cli.run(['token', 'enable', id])).stdout, /^status: +active$/m)
    for (const verb of ['disable', 'enable'])
      t.equal(
        (await cli.run(['token', verb, id, '--yes'].slice(0, verb === 'enable' ? 3 : 4).concat('--quiet')))
          .stdout,
        `${id}\n`,
      )
  })

  whole.test('verify says whether a secret is good, and exits with 3 when it is not', async (t) => {
    const { id, token } = await provision(latchkey, { ipRestriction: '203.0.113.0/24', team: 'team_a' })
    const options = ['--team', 'team_a', '--ip', '203.0.113.9', '--scope', 'posts:read']
    const good = await cli.run(['token', 'verify', ...options], { input: `${token}\n` })
    t.match(good, { code: 0, stdout: /^verdict: +valid\nid: +tok_/ })
    t.match(await cli.json(['token', 'verify', '--token-stdin', ...options], { input: token }), {
      verdict: { valid: true, code: 'valid', token: { id } },
    })
    const file = join(cli.folder, 'secret.txt')
    await writeFile(file, token)
    t.equal(
      (await cli.run(['token', 'verify', '--token-file', file, ...options, '--quiet'])).stdout,
      `${id}\n`,
    )

    const bad: [string[], string, string][] = [
      [['--scope', 'posts:write', ...options.slice(0, 4)], token, 'missing_scope'],
      [['--team', 'team_b', ...options.slice(2)], token, 'wrong_team'],
      [options.slice(0, 2), token, 'ip_not_allowed'],
      [[], 'lk_pat_nonsense', 'not_found'],
    ]
    for (const [args, input, code] of bad) {
      const ended = await cli.run(['token', 'verify', ...args, '--json'], { input })
      t.equal(ended.code, 3, code)
      t.match(JSON.parse(ended.stdout), { verdict: { valid: false, code } })
      t.equal(ended.stderr, '')
    }
    t.match(await cli.run(['token', 'verify']), { code: 4, stderr: /stdin is empty/ })
  })
})
