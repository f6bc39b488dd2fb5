// Who the command line is to Latchkey: login, logout, status, and which of several credentials counts.
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { version } from '../../src/version.ts'
import { createCli } from '../helpers/cli.ts'
import { provision, startLatchkey } from '../helpers/latchkey.ts'

t.test('signing in', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  const { url, admin } = latchkey
  const named = async (name: string): Promise<string> =>
    (await provision(latchkey, { name, scopes: ['tokens:read'] })).token
  const profileOf = (folder: string) => join(folder, 'config/latchkey/profile.json')

  whole.test(
    'login keeps a token that is good, for the owner alone; logout forgets it and does not revoke',
    async (t) => {
      const cli = await createCli(t, { LATCHKEY_URL: url })
      const login = await cli.run(['login', '--with-token'], { input: `${admin}\n` })
      t.match(login, { code: 0, stderr: '', stdout: /^Signed in to http\S+ as admin with tok_\w+ \(admin\)/ })
      t.equal(((await stat(profileOf(cli.folder))).mode & 0o777).toString(8), '600')
      t.equal(((await stat(join(cli.folder, 'config/latchkey'))).mode & 0o777).toString(8), '700')
      t.match(await cli.run(['status']), { code: 0, stdout: /^credential: +profile$/m })
      t.match(await cli.json(['logout']), { logout: { url, forgotten: true } })
      t.match(await cli.run(['status']), { code: 4, stdout: '' })
      t.match(await cli.json(['logout']), { logout: { url, forgotten: false } })
      t.equal((await latchkey.call('GET', '/api/v1/tokens/self')).status, 200)
    },
  )

  whole.test('a token that is not good is not kept', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: url })
    const { code, stderr } = await cli.run(['login', '--with-token'], { input: 'lk_pat_nonsense' })
    t.equal(code, 4)
    t.notMatch(stderr, /nonsense/)
    await t.rejects(stat(profileOf(cli.folder)), { code: 'ENOENT' } as never)
  })

  whole.test('without --url, the login is where one goes, with its own token only', async (t) => {
    const cli = await createCli(t)
    await cli.run(['login', '--with-token', '--url', `${url}/`], { input: admin })
    t.match(await cli.json(['status']), { status: { url, urlFrom: 'profile', source: 'profile' } })
    const other = await cli.run(['status'], { env: { LATCHKEY_TOKEN: admin } })
    t.match(
      other,
      { code: 8, stderr: /localhost:8080 cannot be reached/ },
      'another token is not taken there',
    )
  })

  whole.test(
    'the first that is given wins, in the documented order, and status names the others',
    async (t) => {
      const cli = await createCli(t, { LATCHKEY_URL: url })
      const file = async (name: string) => {
        const path = join(cli.folder, name)
        await writeFile(path, `${await named(name)}\n`)
        return path
      }
      await cli.run(['login', '--with-token'], { input: await named('profile') })
      const env = {
        LATCHKEY_TOKEN: await named('variable'),
        LATCHKEY_TOKEN_FILE: await file('variable-file'),
      }
      const flag = await file('flag-file')
      const who = async (args: string[], options: { env?: Record<string, string>; input?: string }) => {
        const { status, token } = await cli.json(['status', ...args], options)
        return [token.name, status.source, ...status.shadowed]
      }
      const all = ['LATCHKEY_TOKEN', 'LATCHKEY_TOKEN_FILE', 'profile']
      t.same(await who(['--token-stdin'], { env, input: await named('stdin') }), [
        'stdin',
        '--token-stdin',
        ...all,
      ])
      t.same(await who(['--token-file', flag], { env }), ['flag-file', '--token-file', ...all])
      t.same(await who([], { env }), ['variable', ...all])
      t.same(await who([], { env: { LATCHKEY_TOKEN_FILE: env.LATCHKEY_TOKEN_FILE } }), [
        'variable-file',
        ...all.slice(1),
      ])
      t.same(await who([], {}), ['profile', 'profile'])
      const { code, stdout } = await cli.run(['status'], { env })
      t.equal(code, 0)
      t.match(stdout, /^credential: +LATCHKEY_TOKEN\nshadowed: +LATCHKEY_TOKEN_FILE profile$/m)
      t.notOk(stdout.includes(env.LATCHKEY_TOKEN), 'and never the secret')
    },
  )

  whole.test('login works while LATCHKEY_TOKEN is set, and says that it still wins', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: url, LATCHKEY_TOKEN: admin })
    const login = await cli.run(['login', '--with-token'], { input: await named('kept') })
    t.match(login, { code: 0, stderr: /^LATCHKEY_TOKEN is set and still wins/ })
    t.match(await cli.json(['login', '--with-token'], { input: admin }), {
      login: { wins: 'LATCHKEY_TOKEN' },
    })
  })

  whole.test('a profile that others can read is refused', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: url })
    await cli.run(['login', '--with-token'], { input: admin })
    await chmod(profileOf(cli.folder), 0o640)
    t.match(await cli.run(['status']), { code: 1, stderr: /others can read it \(mode 640\).*\n.*chmod 600/ })
    t.match(
      await cli.run(['status'], { env: { LATCHKEY_TOKEN: admin } }),
      { code: 1 },
      'status looks at it always',
    )
    t.match(await cli.run(['token', 'list'], { env: { LATCHKEY_TOKEN: admin } }), { code: 0 })
  })

  whole.test('the token of an embedded store in this folder is named, and not used', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: url })
    await mkdir(join(cli.folder, '.latchkey'))
    await writeFile(join(cli.folder, '.latchkey/admin-token'), admin)
    const { code, stderr } = await cli.run(['status'])
    t.equal(code, 4)
    t.match(stderr, /latchkey login --with-token < \.latchkey\/admin-token/)
    t.match(
      await cli.run(['login', '--with-token'], {
        input: await readFile(join(cli.folder, '.latchkey/admin-token'), 'utf8'),
      }),
      { code: 0 },
    )
  })

  whole.test('login, status, logout and version say it in each form', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: url })
    const { token } = await cli.json(['login', '--with-token'], { input: admin })
    const { id } = token
    t.equal((await cli.run(['login', '--with-token', '--quiet'], { input: admin })).stdout, `${id}\n`)
    t.equal((await cli.run(['status', '--quiet'])).stdout, `${id}\n`)
    t.same(await cli.run(['logout', '--quiet']), { code: 0, stdout: '', stderr: '' })
    t.match(await cli.run(['logout']), { code: 0, stdout: `There was no login to ${url}.\n` })
    await cli.run(['login', '--with-token'], { input: admin })
    t.match((await cli.run(['logout'])).stdout, /^Signed out of .*The token still works/)
    for (const args of [['version'], ['version', '--quiet'], ['--version']])
      t.equal((await cli.run(args)).stdout, `${version}\n`)
    t.same(await cli.json(['version']), { version })
  })

  whole.test('without a terminal nothing waits: what is missing is named', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: url })
    t.match(await cli.run(['login']), { code: 2, stderr: /--with-token/ })
    t.match(await cli.run(['login', '--with-token']), { code: 4, stderr: /stdin is empty/ })
    t.match(await cli.run(['status', '--token-file', 'nowhere']), {
      code: 4,
      stderr: /cannot be read.*ENOENT/,
    })
  })

  whole.test('token list shows a page in each form, and with --all every token', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: url, LATCHKEY_TOKEN: admin })
    const { tokens, nextCursor } = await cli.json(['token', 'list', '--limit', '2'])
    t.equal(tokens.length, 2)
    const second = await cli.json(['token', 'list', '--limit', '2', '--cursor', nextCursor])
    t.not(second.tokens[0].id, tokens[0].id)
    const all = await cli.json(['token', 'list', '--all', '--limit', '2'])
    t.equal(all.nextCursor, null)
    t.match(await cli.run(['token', 'list', '--quiet', '--all']), {
      code: 0,
      stdout: `${all.tokens.map((one: { id: string }) => one.id).join('\n')}\n`,
    })
    const people = await cli.run(['token', 'list', '--limit', '2'])
    t.match(people.stdout, /^ID +NAME +SUBJECT +STATUS +EXPIRES +LAST USED +SCOPES\ntok_/)
    t.match(people.stderr, /^There are more: --cursor/)
    t.equal(people.stdout.includes('\u001b'), false, 'no colour without a terminal')
    const none = await cli.json(['token', 'list', '--subject', 'nobody'])
    t.same(none, { tokens: [], nextCursor: null })
    const variable = await cli.run(['token', 'list'], { env: { LATCHKEY_OUTPUT: 'json' } })
    t.ok(JSON.parse(variable.stdout).tokens)
  })
})
