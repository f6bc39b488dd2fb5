// What is wrong in a file for `latchkey apply`, or with how it is applied, is said before anything is done.
import { chmod, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { actionsOf, applying, fileOf } from '../../helpers/apply.ts'
import { provision, startLatchkey } from '../../helpers/latchkey.ts'
import { hasTerminal, inTerminal } from '../../helpers/terminal.ts'

t.test('a file to apply', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  const { url, admin, call } = latchkey
  latchkey.clock.now = Date.now()

  whole.test('all that is wrong in a file is said, each with its line, and nothing is done', async (t) => {
    const { apply, run, write, file } = await applying(t, url, admin)
    await apply(fileOf('known'))
    const said = async (text: string) => {
      await write(text)
      const { code, stdout, stderr } = await run('--yes')
      t.match({ code, stdout }, { code: 1, stdout: '' })
      t.match(stderr, /\nlatchkey: .*latchkey\.yaml cannot be applied: .*\n {2}Nothing was changed\.\n$/)
      return stderr
        .split('\n')
        .slice(0, -3)
        .map((line) => line.replace(`${file}:`, ''))
    }
    t.same(
      await said(
        'servces: []\nservices:\n  - id: Posts\n    nmae: x\n    baseUrl: 5\n    clientSecret: abc\n    scopes:\n      - name: posts\ntrustPolicies:\n  - name: x\n    issuer: https://x\n    conditions:\n      a: { b: c }\n    scopes: []\ntokens:\n  - { name: a, type: personal }\n',
      ),
      [
        '1: servces: There is no such field. Did you mean "services"?',
        '3: services/0/name: This field is required.',
        '3: services/0/id: Must be: up to 48 of a-z 0-9 _ -, beginning with a letter',
        '4: services/0/nmae: There is no such field. Did you mean "name"?',
        '5: services/0/baseUrl: Must be string, or null.',
        '6: services/0/clientSecret: There is no such field.',
        '8: services/0/scopes/0/title: This field is required.',
        '8: services/0/scopes/0/group: This field is required.',
        '8: services/0/scopes/0/name: Must be: resource:action, lower case',
        '13: trustPolicies/0/conditions/a: Must be string, or integer, or boolean, or array.',
        '14: trustPolicies/0/scopes: Must NOT have fewer than 1 items.',
        '16: tokens/0/subject: This field is required.',
        '16: tokens/0/type: There is no such field.',
      ],
    )
    t.same(
      await said(
        [
          'tokens:',
          '  - &one',
          '    name: a',
          '    subject: b',
          '    audience: [nothing-like-it]',
          '    scopes: [known:raed]',
          '  - *one',
          'services: [{ id: latchkey, name: L }]',
        ].join('\n'),
      ),
      [
        '5: tokens/0/audience/0: There is no service "nothing-like-it".',
        '6: tokens/0/scopes/0: No service declares the scope "known:raed". Did you mean "known:read"?',
        '7: tokens/1: "a" of "b" stands here twice.',
        '5: tokens/1/audience/0: There is no service "nothing-like-it".',
        '6: tokens/1/scopes/0: No service declares the scope "known:raed". Did you mean "known:read"?',
        '8: services/0/id: Latchkey’s own service is declared by Latchkey itself.',
      ].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)),
    )
    t.match(await said('tokens: [\n'), [/^2: Flow sequence/])
    t.match(await said('tokens:\n  - name: a\n    name: b\n'), [/^3: Map keys must be unique/])
    t.match(await said(''), [/^1: Must be object\.$/])
    const secret = 'lks_abcdefghijklmnopqrstuvwxyz0123'
    const [line] = await said(`tokens:\n  - name: a\n    description: ${secret}\n`)
    t.match(line, /^3: A secret stands here/)
    t.notOk(line!.includes(secret))

    await write('tokens: [{ name: a }]')
    const { stderr } = await run('--plan', '--json')
    t.match(JSON.parse(stderr).error, {
      code: 'file-invalid',
      exitCode: 1,
      errors: [{ line: 1, pointer: '/tokens/0/subject', detail: 'This field is required.' }],
    })
    t.match(await run('-f', 'nowhere'), { code: 2, stderr: /nowhere cannot be read/ })
    t.match(
      await (await applying(t, url, admin)).cli.run(['apply', '-f', '-', '--plan'], {
        input: '{"tokens": []}',
      }),
      { code: 0, stdout: /Nothing to do/ },
    )
  })

  whole.test('a secret must have where to go before it is made', async (t) => {
    const { cli, file, folder, write, run } = await applying(t, url, admin)
    await write(fileOf('homeless'))
    const refused = await cli.run(['apply', '-f', file, '--yes'])
    t.match(refused, {
      code: 2,
      stdout: '',
      stderr: /makes secrets \(for homeless, backup\).*\n.*--secrets-dir FOLDER/,
    })
    await writeFile(join(cli.folder, 'occupied'), '')
    t.match(await cli.run(['apply', '-f', file, '--yes', '--secrets-dir', join(cli.folder, 'occupied')]), {
      code: 1,
      stderr: /cannot be used for secrets \(ENOTDIR\)/,
    })
    t.equal((await call('GET', '/api/v1/services/homeless')).status, 404, 'nothing was done')
    if (process.getuid?.() !== 0) {
      await chmod(folder, 0o500)
      t.match(await run('--yes'), { code: 1, stderr: /cannot be used for secrets \(EACCES\)/ })
    }
  })

  whole.test('it needs the rights of each kind that is in the file, and no others', async (t) => {
    const { token } = await provision(latchkey, {
      name: 'deployer',
      subject: 'deployer',
      scopes: ['services:admin', 'catalog:publish'],
    })
    const { apply, run } = await applying(t, url, token)
    const { services } = fileOf('narrow')
    t.same(actionsOf(await apply({ services })), ['create service narrow', 'create scopes narrow'])
    const { cli, file, write } = await applying(t, url, token)
    await write({ tokens: [] })
    t.match(await cli.run(['apply', '-f', file, '--plan']), { code: 0 })
    await write(fileOf('narrow'))
    t.match(await cli.run(['apply', '-f', file, '--plan']), {
      code: 5,
      stderr: /insufficient-scope.*\n.*tokens:admin/,
    })
    t.match(await run('--plan', '--yes'), { code: 2, stderr: /cannot be used with/ })
  })

  whole.test(
    'in a terminal the plan is shown, and then asked about',
    { skip: !hasTerminal && 'no "script" here' },
    async (t) => {
      const { cli, file, folder, write } = await applying(t, url, admin)
      await write(fileOf('asked'))
      const args = ['apply', '-f', file, '--secrets-dir', folder]
      const question = /4 planned; 0 as the file says\.\s+Create 4 at http\S+\? \[y\/N\] /
      t.match(await inTerminal(cli, args, [{ to: question, type: 'n\r' }]), { code: 2, shown: /Cancelled/ })
      t.same(await readdir(folder), [])
      t.match(await inTerminal(cli, args, [{ to: question, type: 'y\r' }]), { code: 0, shown: /4 done/ })
    },
  )
})
