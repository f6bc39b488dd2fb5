// `latchkey mcp` as an MCP client starts it: the official SDK's, unmodified, over stdio. What the tools answer is
// test/interop/mcp.test.ts; here it is that they come through, as whom, and what happens when they cannot.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import t, { type Test } from 'tap'
import { type Cli, cliFile, createCli } from '../helpers/cli.ts'
import { startLatchkey } from '../helpers/latchkey.ts'

// biome-ignore lint/suspicious/noExplicitAny: what tools answer, as it is asserted
type Answered = any

async function connect(t: Test, { env }: Cli, more: Record<string, string> = {}): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' })
  const args = [cliFile, 'mcp']
  const transport = new StdioClientTransport({
    command: process.execPath,
    args,
    env: { ...env, ...more },
    stderr: 'ignore',
  })
  t.teardown(() => client.close())
  await client.connect(transport)
  return client
}

async function ask(client: Client, name: string, given: object = {}): Promise<Answered> {
  const { structuredContent } = await client.callTool({ name, arguments: { ...given } })
  return structuredContent
}

t.test('latchkey mcp', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  const anybody = (t: Test) => createCli(t, { LATCHKEY_URL: latchkey.url })

  whole.test('an agent sees the tools that Latchkey declares, and what they answer', async (t) => {
    const client = await connect(t, await anybody(t))
    const { tools } = await client.listTools()
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
    const { body } = await latchkey.call('POST', '/mcp', message, { token: null })
    t.same(tools, body.result.tools)
    t.match(client.getServerVersion(), { name: 'latchkey' })
    t.match(client.getInstructions(), /list_jobs/)
    const found = await ask(client, 'search_endpoints', { q: 'provision' })
    t.match(found.endpoints, [{ id: 'provisionToken' }])
    const refused = await client.callTool({ name: 'describe_endpoint', arguments: { id: 'provisionTokn' } })
    t.match(refused, { isError: true, content: [{ text: /Did you mean.*provisionToken/ }] })
    await t.rejects(
      client.callTool({ name: 'no_such_tool' }).then((one) => (one.isError ? Promise.reject(one) : one)),
    )
  })

  whole.test('the credential is that of the environment, or of the login', async (t) => {
    const cli = await anybody(t)
    t.match(await ask(await connect(t, cli), 'whoami'), { authenticated: false })
    const byVariable = await connect(t, cli, { LATCHKEY_TOKEN: latchkey.admin })
    t.match(await ask(byVariable, 'whoami'), { authenticated: true, subject: 'admin' })
    await cli.run(['login', '--with-token'], { input: latchkey.admin })
    t.match(await ask(await connect(t, cli), 'whoami'), { authenticated: true })
  })

  whole.test('a token that is not good, or nobody there, is told to the client, and no secret', async (t) => {
    const cli = await anybody(t)
    const bad = connect(t, cli, { LATCHKEY_TOKEN: 'lk_pat_nonsense' })
    await t.rejects(bad, /The token from LATCHKEY_TOKEN is not taken by http/)
    await bad.catch((error: Error) => t.notMatch(error.message, /nonsense/))
    await t.rejects(connect(t, cli, { LATCHKEY_URL: 'http://127.0.0.1:9' }), /cannot be reached/)
  })

  whole.test('many questions at once are all answered, also those still open when stdin ends', async (t) => {
    const cli = await anybody(t)
    const ids = Array.from({ length: 50 }, (_, index) => index + 1)
    const messages = ids.map((id) => JSON.stringify({ jsonrpc: '2.0', id, method: 'ping' }))
    const input = `${[...messages, 'no message at all', '{"jsonrpc":"2.0","id":99,"result":{}}'].join('\n')}\n`
    const { code, stdout, stderr } = await cli.run(['mcp'], { input })
    t.match({ code, stderr }, { code: 0, stderr: 'latchkey: A line on stdin is no message of MCP.\n' })
    const answers = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    t.same(
      answers.map(({ id }) => id).sort((a, b) => a - b),
      ids,
    )
    for (const { result } of answers) t.same(result, {})
  })

  whole.test('MCP is loaded when it is needed only', async (t) => {
    const cli = await anybody(t)
    const { stderr } = await cli.run(['catalog', 'jobs'], { env: { NODE_DEBUG: 'esm' } })
    t.match(stderr, /cli\/main\.js/, 'loading is seen')
    t.notMatch(stderr, /modelcontextprotocol/)
  })
})
