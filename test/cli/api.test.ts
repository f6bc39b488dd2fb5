// `latchkey api`: any call, with the body, the pages and the exit codes that it should have.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createCli } from '../helpers/cli.ts'
import { startLatchkey } from '../helpers/latchkey.ts'

t.test('latchkey api', async (whole) => {
  const { url, admin } = await startLatchkey(whole, 'pglite')
  const cli = await createCli(whole, { LATCHKEY_URL: url, LATCHKEY_TOKEN: admin })

  whole.test('the body comes out as it came; with --json, status and headers as well', async (t) => {
    const { code, stdout } = await cli.run(['api', 'get', '/api/v1/tokens/self'])
    t.equal(code, 0)
    t.match(JSON.parse(stdout), { name: 'admin' })
    t.match(await cli.json(['api', 'GET', '/api/v1/tokens/self']), {
      status: 200,
      headers: { 'content-type': /json/ },
      body: { name: 'admin' },
    })
    t.match(await cli.run(['api', 'GET', '/llms.txt']), { code: 0, stdout: /^# / })
    t.match(await cli.run(['api', 'GET', '/api/v1/tokens/self', '--quiet']), { code: 0, stdout: '' })
  })

  whole.test(
    'fields are the body, or with GET the query; a file or stdin is the body as it is',
    async (t) => {
      const fields = [
        '--field',
        'name=by field',
        '--field',
        'scopes=["tokens:read"]',
        '--field',
        'expireAt=null',
      ]
      const made = JSON.parse((await cli.run(['api', 'POST', '/api/v1/tokens', ...fields])).stdout)
      t.match(made, { name: 'by field', scopes: ['tokens:read'], expireAt: null })
      const found = await cli.run(['api', 'GET', '/api/v1/tokens', '--field', 'q=by field'])
      t.match(JSON.parse(found.stdout), [{ id: made.id }])
      await writeFile(join(cli.folder, 'body.json'), '{"name":"by file"}')
      t.match(await cli.run(['api', 'POST', '/api/v1/tokens', '--input', 'body.json']), {
        code: 0,
        stdout: /by file/,
      })
      const input = '{"name":"by stdin"}'
      t.match(await cli.run(['api', 'POST', '/api/v1/tokens', '--input', '-'], { input }), {
        code: 0,
        stdout: /by stdin/,
      })
    },
  )

  whole.test('--paginate gives all pages as one list', async (t) => {
    const page = JSON.parse((await cli.run(['api', 'GET', '/api/v1/tokens?limit=2'])).stdout)
    const all = JSON.parse((await cli.run(['api', 'GET', '/api/v1/tokens?limit=2', '--paginate'])).stdout)
    t.equal(page.length, 2)
    t.equal(all.length, 4)
    t.equal(new Set(all.map(({ id }: { id: string }) => id)).size, 4)
  })

  whole.test('exit codes are those of every command; what is public needs no credential', async (t) => {
    const nobody = { LATCHKEY_TOKEN: '' }
    t.match(await cli.run(['api', 'GET', '/api/programmatic/catalog'], { env: nobody }), { code: 0 })
    t.match(await cli.run(['api', 'GET', '/api/v1/tokens'], { env: nobody }), {
      code: 4,
      stderr: /Not signed in/,
    })
    t.match(await cli.run(['api', 'GET', '/nowhere']), { code: 6, stdout: '', stderr: /not-found/ })
    t.match(await cli.run(['api', 'DELETE', '/api/v1/tokens']), { code: 1, stderr: /method-not-allowed/ })
    const again = ['api', 'POST', '/api/v1/services', '--field', 'id=posts', '--field', 'name=Posts']
    t.match(await cli.run(again), { code: 0 })
    t.match(await cli.run(again), { code: 7, stderr: /conflict/ })
    t.match(await cli.run(['api', 'GET', 'http://elsewhere/x']), { code: 2, stderr: /must begin with "\/"/ })
    t.match(await cli.run(['api', 'POST', '/x', '--field', 'k']), { code: 2, stderr: /--field "k"/ })
    t.match(await cli.run(['api', 'POST', '/x', '--input', 'nowhere']), { code: 2, stderr: /ENOENT/ })
    t.match(await cli.run(['api', 'POST', '/x', '--paginate']), { code: 2, stderr: /--paginate is for GET/ })
  })
})
