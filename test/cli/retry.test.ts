// Killed in the middle and run again: with the same key file there is one token, whatever had happened to the first run.
// And where a secret may be seen while a command runs: nowhere.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Cli, cliFile, createCli } from '../helpers/cli.ts'
import { type Latchkey, provision, startLatchkey } from '../helpers/latchkey.ts'

type Point = 'before it is heard' | 'after it was done'

/** Between the command line and a Latchkey; holds up the first POST at a point of choice. */
async function holding(t: Test, to: string, point: Point) {
  let open = false
  let reached: () => void
  const held = new Promise<void>((resolve) => {
    reached = resolve
  })
  const server = createServer((incoming, outgoing) => {
    const stop = incoming.method === 'POST' && !open
    if (stop && point === 'before it is heard') return reached()
    const { method, headers, url } = incoming
    const onward = request(to + url, { method, headers, agent: false }, (answer) => {
      if (stop) return reached()
      outgoing.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(outgoing)
    })
    incoming.pipe(onward.on('error', () => outgoing.destroy()))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const letThrough = () => {
    open = true
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, held, letThrough }
}

function begin(cli: Cli, args: readonly string[]) {
  const child = spawn(process.execPath, [cliFile, ...args], { cwd: cli.folder, env: cli.env })
  const kill = async () => {
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  return { pid: child.pid!, kill }
}

const named = async (latchkey: Latchkey, name: string) =>
  (await latchkey.call('GET', `/api/v1/tokens?q=${encodeURIComponent(name)}`)).body

t.test('killed and run again', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  const { admin } = latchkey

  for (const point of ['before it is heard', 'after it was done'] as const) {
    whole.test(`create, killed ${point}, gives one token, which works`, async (t) => {
      const between = await holding(t, latchkey.url, point)
      const cli = await createCli(t, { LATCHKEY_URL: between.url, LATCHKEY_TOKEN: admin })
      const key = join(cli.folder, 'key')
      const args = ['token', 'create', '--name', point, '--idempotency-key-file', key]
      const first = begin(cli, args)
      await between.held
      await first.kill()
      t.equal((await named(latchkey, point)).length, point === 'after it was done' ? 1 : 0)
      t.equal(((await stat(key)).mode & 0o777).toString(8), '600')

      between.letThrough()
      const { token } = await cli.json(args)
      t.match(await cli.json(args), { token: { id: token.id, token: token.token } }, 'and again')
      t.equal((await named(latchkey, point)).length, 1)
      const self = await latchkey.call('GET', '/api/v1/tokens/self', undefined, { token: token.token })
      t.equal(self.body.id, token.id)
      const replayed = await cli.run(args)
      t.match(replayed.stderr, /done before with the same key/)
      const another = await cli.run([...args, '--description', 'another request'])
      t.match(another, { code: 7, stderr: /idempotency-key-reused/ })
    })
  }

  whole.test('rotate, killed after it was done, gives the same new secret', async (t) => {
    const between = await holding(t, latchkey.url, 'after it was done')
    const cli = await createCli(t, { LATCHKEY_URL: between.url, LATCHKEY_TOKEN: admin })
    const { id } = await provision(latchkey, { name: 'rotated', scopes: [] })
    const args = ['token', 'rotate', id, '--yes', '--idempotency-key-file', 'key']
    const first = begin(cli, args)
    await between.held
    await first.kill()
    between.letThrough()
    t.match(await cli.json(args), { token: { id, secretVersion: 2 } })
    t.match(await cli.json(args), { token: { id, secretVersion: 2 } })
  })

  whole.test(
    'an answer that is lost on the way is asked for again by itself, and one token is made',
    async (t) => {
      let cut = 0
      const server = createServer((incoming, outgoing) => {
        const { method, headers, url } = incoming
        const onward = request(latchkey.url + url, { method, headers, agent: false }, (answer) => {
          if (method === 'POST' && cut++ === 0) return void incoming.socket.destroy()
          outgoing.writeHead(answer.statusCode!, answer.headers)
          answer.pipe(outgoing)
        })
        incoming.pipe(onward)
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      t.teardown(() => server.close())
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const cli = await createCli(t, { LATCHKEY_URL: url, LATCHKEY_TOKEN: admin })
      const { token } = await cli.json(['token', 'create', '--name', 'lost'])
      t.same(
        (await named(latchkey, 'lost')).map(({ id }: { id: string }) => id),
        [token.id],
      )
    },
  )

  whole.test('a key file that holds no key is refused, and nothing is made', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: latchkey.url, LATCHKEY_TOKEN: admin })
    const key = join(cli.folder, 'key')
    const args = ['token', 'create', '--name', 'keyless', '--idempotency-key-file', key]
    for (const content of ['', '\n', 'a\nb']) {
      await writeFile(key, content)
      t.match(await cli.run(args), { code: 2, stderr: /key holds no key/ })
    }
    await writeFile(key, 'too-short')
    t.match(await cli.run(args), { code: 1, stderr: /idempotency-key: Must be/ })
    t.match(await cli.run([...args.slice(0, -1), 'no/such/folder/key']), { code: 2, stderr: /ENOENT/ })
    t.same(await named(latchkey, 'keyless'), [])
  })

  whole.test(
    'while it runs and when it fails, no secret is in the arguments or in what it writes',
    async (t) => {
      const between = await holding(t, latchkey.url, 'before it is heard')
      const cli = await createCli(t, { LATCHKEY_URL: between.url, LATCHKEY_TOKEN: admin })
      const running = begin(cli, ['token', 'create', '--name', 'seen'])
      await between.held
      const seen = await readFile(`/proc/${running.pid}/cmdline`, 'utf8').catch(() => null)
      await running.kill()
      if (seen !== null) t.match(seen, /create\0--name\0seen\0$/)
      t.notOk(seen?.includes(admin))

      between.letThrough()
      const failing: [string[], Record<string, string>, string][] = [
        [['status'], { LATCHKEY_TOKEN: `${admin}x` }, ''],
        [['status'], { LATCHKEY_TOKEN: `${admin} and more` }, ''],
        [['status'], { LATCHKEY_URL: 'http://127.0.0.1:9' }, ''],
        [['status', '--token-stdin'], {}, `${admin}\n${admin}`],
        [['token', 'verify', '--token-stdin'], { LATCHKEY_URL: 'http://127.0.0.1:9' }, admin],
        [['login', '--with-token'], {}, `${admin}x`],
        [['api', 'POST', '/api/v1/tokens', '--input', '-'], {}, `{"name":"${admin}","nonsense":"${admin}"}`],
        [['api', 'GET', `/api/v1/tokens/${admin}`], {}, ''],
      ]
      for (const [args, env, input] of failing) {
        for (const more of [[], ['--json']]) {
          const { code, stdout, stderr } = await cli.run([...args, ...more], { env, input })
          t.ok(code, args.join(' '))
          t.notOk(`${stdout}${stderr}`.includes(admin), args.join(' '))
        }
      }
    },
  )
})
