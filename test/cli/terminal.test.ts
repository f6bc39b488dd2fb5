// In a terminal, as a person sees it: what is asked, what is shown, what a "no" does. Without one nothing is asked.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createCli } from '../helpers/cli.ts'
import { provision, startLatchkey } from '../helpers/latchkey.ts'
import { hasTerminal, inTerminal } from '../helpers/terminal.ts'

const skip = !hasTerminal && 'no util-linux "script" here'

t.test('in a terminal', { skip }, async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  const { url, admin } = latchkey
  const enter = '\r'
  const ctrlC = '\u0003'
  const signedIn = () => createCli(whole, { LATCHKEY_URL: url, LATCHKEY_TOKEN: admin })
  const statusOf = async (id: string) => (await latchkey.call('GET', `/api/v1/tokens/${id}`)).body.status

  whole.test('login asks for the secret, does not show it, and keeps it', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: url })
    const { code, shown } = await inTerminal(cli, ['login'], [{ to: /not shown\): /, type: admin + enter }])
    t.equal(code, 0)
    t.match(shown, /Signed in to http\S+ as admin/)
    t.notOk(shown.includes(admin), 'what is typed is not shown')
    t.match(await readFile(join(cli.folder, 'config/latchkey/profile.json'), 'utf8'), admin)
  })

  whole.test('ctrl-C at the question is exit 2, and nothing is kept', async (t) => {
    const cli = await createCli(t, { LATCHKEY_URL: url })
    const { code, shown } = await inTerminal(cli, ['login'], [{ to: /not shown\): /, type: ctrlC }])
    t.equal(code, 2)
    t.match(shown, /Cancelled\.\s+Nothing was changed/)
    t.match(await cli.run(['status']), { code: 4 })
  })

  whole.test('--with-token explains itself instead of waiting for somebody to type', async (t) => {
    const { code, shown } = await inTerminal(await signedIn(), ['login', '--with-token'])
    t.match({ code, shown }, { code: 2, shown: /latchkey login --with-token < / })
  })

  const asking: [string, RegExp, string][] = [
    ['revoke', /Revoke asked \(tok_\w+\) of user_42, never used, for ever\? \[y\/N\] /, 'revoked'],
    ['disable', /Disable asked \(tok_\w+\) of user_42, never used\? \[y\/N\] /, 'disabled'],
    [
      'rotate',
      /End the present secret of asked \(tok_\w+\).*at once\? Else use --grace\. \[y\/N\] /,
      'active',
    ],
  ]
  for (const [verb, question, after] of asking) {
    whole.test(`${verb} asks first: "no" and nothing are no`, async (t) => {
      const cli = await signedIn()
      const { id } = await provision(latchkey, { name: 'asked', scopes: [] })
      for (const type of [`n${enter}`, enter]) {
        const refused = await inTerminal(cli, ['token', verb, id], [{ to: question, type }])
        t.match(refused, { code: 2, shown: /Cancelled/ })
        t.equal((await latchkey.call('GET', `/api/v1/tokens/${id}`)).body.secretVersion, 1)
        t.equal(await statusOf(id), 'active')
      }
      const done = await inTerminal(cli, ['token', verb, id], [{ to: question, type: `y${enter}` }])
      t.equal(done.code, 0)
      t.equal(await statusOf(id), after)
    })
    whole.test(`${verb} without a terminal, or where there is to be no asking, needs --yes`, async (t) => {
      const cli = await signedIn()
      const { id } = await provision(latchkey, { name: 'asked', scopes: [] })
      t.match(await cli.run(['token', verb, id]), { code: 2, stdout: '', stderr: /nobody to ask.*\n.*--yes/ })
      for (const env of [{ CI: 'true' }, { LATCHKEY_NO_INPUT: '1' }])
        t.match(await inTerminal(cli, ['token', verb, id], [], env), { code: 2, shown: /--yes/ })
      t.equal(await statusOf(id), 'active')
      t.match(await cli.run(['token', verb, id, '--yes']), { code: 0 })
      t.equal(await statusOf(id), after)
    })
  }

  whole.test('verify asks for the secret, and does not show it', async (t) => {
    const { token } = await provision(latchkey, { name: 'typed', scopes: [] })
    const { code, shown } = await inTerminal(
      await signedIn(),
      ['token', 'verify'],
      [{ to: /not shown\): /, type: token + enter }],
    )
    t.match({ code, shown }, { code: 0, shown: /verdict: +valid/ })
    t.notOk(shown.includes(token))
  })

  whole.test('there is colour in a terminal, unless NO_COLOR is set', async (t) => {
    const cli = await signedIn()
    t.match((await inTerminal(cli, ['token', 'list'])).shown, /^\u001b\[1mID/)
    t.notMatch((await inTerminal(cli, ['token', 'list'], [], { NO_COLOR: '1' })).shown, /\u001b/)
  })
})
