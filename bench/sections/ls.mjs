// ls of 1, 100 and 1,000 stopped; ls -f of 1,000 stopped and with 50 running.
import { interleave, row, sh } from '../lib.mjs'
import { makeMany, startMany, stopMany } from './many.mjs'

export function run(context) {
  const rows = []
  for (const [count, goal] of [
    [1, 0.7],
    [100, 0.4],
    [1000, 0.25],
  ]) {
    const many = makeMany(context, count)
    const pair = (flag) =>
      interleave(
        context,
        [
          { name: 'ours', command: `${context.tslxc} ls ${flag} -P ${many.ours}` },
          { name: 'lxc', command: `lxc-ls ${flag} -P ${many.lxc}` },
        ],
        { rounds: 25 },
      )
    const plain = pair('-1')
    rows.push(row(`ls, ${count} stopped`, plain.ours.median, plain.lxc.median, goal))
    if (count === 1000) {
      const fancy = pair('-f')
      rows.push(row(`ls -f, ${count} stopped`, fancy.ours.median, fancy.lxc.median, 0.6))
    }
  }
  const many = makeMany(context, 50)
  startMany(context, many)
  const t = interleave(
    context,
    [
      { name: 'ours', command: `${context.tslxc} ls -f -P ${many.ours}` },
      { name: 'lxc', command: `lxc-ls -f -P ${many.lxc}` },
    ],
    { rounds: 20 },
  )
  rows.push(row('ls -f, 50 running', t.ours.median, t.lxc.median, 0.15))
  stopMany(context, many)
  sh('true')
  return rows
}
