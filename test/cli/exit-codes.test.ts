// Each documented exit code, and what is said with it: two lines for people, one object for programs, never a secret.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { cliFile, createCli } from '../helpers/cli.ts'
import { provision, startLatchkey } from '../helpers/latchkey.ts'

t.test('exit codes', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  const { url, admin } = latchkey
  const signedIn = (t: Test) => createCli(t, { LATCHKEY_URL: url, LATCHKEY_TOKEN: admin })
  const paused = (await provision(latchkey, { name: 'paused', scopes: [] })).id
  await latchkey.call('POST', `/api/v1/tokens/${paused}/disable`)
  const bare = (await provision(latchkey, { name: 'bare', scopes: [] })).token

  const cases: { code: number; what: string; args: string[]; env?: Record<string, string>; says: RegExp }[] =
    [
      { code: 0, what: 'done', args: ['token', 'list'], says: /^$/ },
      {
        code: 1,
        what: 'a value that Latchkey does not take',
        args: ['token', 'list', '--limit', '1000'],
        says: /limit: .*\(validation-failed, request req_[\w-]+\)\n {2}http\S+\/problems\/validation-failed\n$/,
      },
      {
        code: 2,
        what: 'an unknown option',
        args: ['token', 'list', '--stauts', 'any'],
        says: /Unknown option '--stauts' \(Did you mean --status\?\)\n {2}See: latchkey token list --help/,
      },
      {
        code: 2,
        what: 'an unknown command',
        args: ['tokens'],
        says: /Unknown command 'tokens' \(Did you mean token\?\)/,
      },
      {
        code: 2,
        what: 'a choice that there is not',
        args: ['token', 'list', '--status', 'x'],
        says: /Allowed choices are active/,
      },
      {
        code: 2,
        what: 'two forms at once',
        args: ['token', 'list', '--json', '--quiet'],
        says: /"message":"Option '--quiet' cannot be used with option '--json'/,
      },
      {
        code: 2,
        what: 'a URL that is none',
        args: ['status', '--url', 'localhost:8080'],
        says: /--url must be an http\(s\) URL/,
      },
      {
        code: 4,
        what: 'no credential',
        args: ['status'],
        env: { LATCHKEY_TOKEN: '' },
        says: /Not signed in to http.*\n {2}Sign in with "latchkey login"/,
      },
      {
        code: 4,
        what: 'a token that is not good',
        args: ['status'],
        env: { LATCHKEY_TOKEN: 'lk_pat_x' },
        says: /The token from LATCHKEY_TOKEN is not taken by http.*\(invalid-token, request req_[\w-]+\)\n/,
      },
      {
        code: 5,
        what: 'a missing scope',
        args: ['token', 'list'],
        env: { LATCHKEY_TOKEN: bare },
        says: /\(insufficient-scope, request req_[\w-]+\)\n {2}Use a token that has tokens:read; .*http\S+\/problems\/insufficient-scope\n$/,
      },
      {
        code: 6,
        what: 'a token that there is not',
        args: ['token', 'get', 'tok_nothere'],
        says: /\(not-found, request req_[\w-]+\)\n {2}http\S+\/problems\/not-found\n$/,
      },
      {
        code: 7,
        what: 'a state that does not permit it',
        args: ['token', 'rotate', paused, '--yes'],
        says: /The token is disabled.*\(conflict, request req_[\w-]+\)\n/,
      },
      {
        code: 8,
        what: 'nobody there',
        args: ['status', '--url', 'http://127.0.0.1:9'],
        says: /cannot be reached.*\n {2}Check LATCHKEY_URL/,
      },
    ]
  for (const { code, what, args, env = {}, says } of cases) {
    whole.test(`${code}: ${what}`, async (t) => {
      const cli = await signedIn(t)
      const ended = await cli.run(args, { env })
      t.equal(ended.code, code)
      t.match(ended.stderr, says)
      t.ok(ended.stderr.split('\n').length <= 3, 'two lines at most')
      if (code === 0) return
      t.equal(ended.stdout, '')
      const asJson = await cli.run(args, { env: { ...env, LATCHKEY_OUTPUT: 'json' } })
      t.equal(asJson.code, code)
      const { error } = JSON.parse(asJson.stderr)
      t.same(Object.keys(error), [
        'code',
        'message',
        'whatToDo',
        'exitCode',
        'status',
        'requestId',
        'requiredScopes',
        'errors',
        'retryAfterSeconds',
        'page',
      ])
      t.equal(error.exitCode, code)
    })
  }

  whole.test('a secret as an argument is refused before anything is done, and not repeated', async (t) => {
    const cli = await signedIn(t)
    for (const args of [
      ['status', '--token', admin],
      ['status', `--token=${admin}`],
      ['token', 'list', '--search', admin],
    ]) {
      const { code, stderr } = await cli.run(args)
      t.match({ code, stderr }, { code: 2, stderr: /An argument holds a secret.*\n.*--token-stdin/ })
      t.notOk(stderr.includes(admin))
    }
    for (const args of [
      ['status', '--token', 'abc'],
      ['status', '--token=abc'],
      ['--token', '', 'status'],
    ])
      t.match(await cli.run(args), { code: 2, stderr: /There is no --token VALUE.*\n.*LATCHKEY_TOKEN_FILE/ })
  })

  whole.test(
    'what others named a token does not steer the terminal, and a reader that goes away is no crash',
    async (t) => {
      const cli = await signedIn(t)
      await provision(latchkey, { name: 'right\u202eto left', scopes: [] })
      t.match((await cli.run(['token', 'list'])).stdout, 'right�to left')
      const child = spawn(process.execPath, [cliFile, 'token', 'list'], {
        env: cli.env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child.stdout.destroy()
      let stderr = ''
      child.stderr.on('data', (text) => (stderr += text))
      t.same(await once(child, 'close'), [0, null])
      t.equal(stderr, '')
    },
  )

  whole.test(
    'an answer that says "later" is exit 8 and says when; one that leads elsewhere is not followed',
    async (t) => {
      const heard: (string | undefined)[] = []
      const server = createServer((request, response) => {
        heard.push(request.url)
        if (request.url?.startsWith('/429')) response.writeHead(429, { 'retry-after': '7' })
        else if (request.url?.startsWith('/503')) response.writeHead(503)
        else response.writeHead(307, { location: '/elsewhere' })
        response.end()
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      t.teardown(() => server.close())
      const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const cli = await createCli(t, { LATCHKEY_TOKEN: admin })
      const status = (path: string) => cli.run(['status', '--url', `${at}${path}`])
      t.match(await status('/429'), { code: 8, stderr: /Try again after 7 s\./ })
      t.match(await status('/503'), { code: 8, stderr: /Try again\./ })
      t.match(await status('/307'), { code: 1, stderr: /redirects to another path/ })
      t.equal(heard.length, 3)
    },
  )

  whole.test('what does not use the database does not load it', async (t) => {
    const cli = await signedIn(t)
    const env = { NODE_DEBUG: 'esm' }
    const { stderr } = await cli.run(['token', 'list'], { env })
    t.match(stderr, /cli\/main\.js/, 'loading is seen')
    t.notMatch(stderr, /pglite|node_modules\/pg\/|kysely|fastify|typebox/)
  })
})
