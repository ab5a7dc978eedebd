"""The page as dashd itself serves it, in a headless Chromium: signing in, steps as they are made, actions, a new job. The
coordinator is the fake one of tests/e2e. What single views do is tested by test_page.py."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../e2e")]
import browser
from harness import BIN, TINY, World, pb

CHROMIUM = None


def setUpModule():
    global CHROMIUM
    CHROMIUM = browser.Browser()
    unittest.addModuleCleanup(CHROMIUM.close)


class Served(World):
    def setUp(self):
        super().setUp()
        self.hold = self.write("hold", "3")
        self.daemon = self.dashd(env={"FAKE_HOLD": self.hold})
        self.client = self.daemon.client()
        self.base = f"http://127.0.0.1:{self.read('state/http-port').strip()}/"
        CHROMIUM.call("Storage.clearCookies")
        self.page = CHROMIUM.page()
        self.addCleanup(self.page.close)

    def sign_in(self):
        self.page.go(self.dashctl("web", server=self.daemon.address).stdout.strip())
        self.page.wait("document.querySelector('main h1')?.textContent === 'Jobs'")

    def token(self, role):
        return subprocess.run([os.path.join(BIN, "dashd"), "token", "add", "eve", "--role", role, "--state", self.path("state")],
                              capture_output=True, text=True, check=True).stdout.strip()

    def check(self, *allowed):
        self.assertEqual([e for e in self.page.errors if not any(a in e for a in allowed)], [])
        self.assertEqual([u for u in self.page.requests if not u.startswith((self.base, "about:", "data:"))], [])

    def test_a_job_from_its_first_steps_to_its_end(self):
        id = self.create(self.client, "arc-easy").id
        self.wait_step(self.client, id, 3)
        self.sign_in()
        self.page.wait_text("3 / 5")
        self.page.click(f"[data-id='{id}'] a")
        self.page.wait_text("Curves")
        label = "document.querySelector('.chart svg').getAttribute('aria-label')"
        self.page.wait(f"{label}.includes('3 values')")
        self.write("hold", "4")
        self.page.wait(f"{label}.includes('4 values')")
        self.page.click("[data-action=pause]")
        self.page.click("dialog button[type=submit]")
        self.page.wait_text("PAUSED")
        self.page.click("[data-action=resume]")
        self.page.click("dialog button[type=submit]")
        self.write("hold", "9999")
        self.page.wait_text("SUCCEEDED")
        self.assertEqual(self.get(self.client, id).state, pb.SUCCEEDED)
        self.page.click("[data-tab=events]")
        self.page.wait("[...document.querySelectorAll('.event')].some(e => e.innerText.includes('PAUSED'))")
        self.page.click("[data-tab=log]")
        self.page.wait_text(f"coordinator of job {id}")
        self.page.click("[data-tab=files]")
        address = self.page.wait("document.querySelector('[role=tabpanel] a[download=\"job.yaml\"]').getAttribute('href')")
        text = self.page.run(f"fetch('{address}').then(r => r.text())")
        self.assertEqual(text, self.read("arc-easy/job.yaml"))
        self.check()

    def test_dashd_goes_and_comes_back(self):
        id = self.create(self.client, "out").id
        self.wait_step(self.client, id, 3)
        self.sign_in()
        self.page.run(f"location.hash = '#/job/{id}'")
        self.page.wait_text("3 / 5")
        self.daemon.stop()
        self.page.wait_text("not live since")
        self.daemon = self.dashd(env={"FAKE_HOLD": self.hold})
        self.page.wait("document.getElementById('live').textContent === 'live' || "
                       "document.querySelector('main h1').textContent === 'Sign in'")
        self.write("hold", "9999")
        if self.page.run("document.querySelector('main h1').textContent") == "Sign in":
            self.sign_in()
            self.page.run(f"location.hash = '#/job/{id}'")
        self.page.wait_text("SUCCEEDED")
        self.check("ERR_", "401")

    def test_a_reader_signs_in_with_a_token(self):
        self.write("hold", "9999")
        self.create(self.client, "out")
        token = self.token("read")
        self.page.go(self.base)
        self.page.wait("document.activeElement.name === 'token'")
        self.page.type(token)
        self.page.press("Enter")
        self.page.wait_text("token:eve (read)")
        self.assertEqual(self.page.run("document.cookie"), "")
        self.page.run("location.hash = '#/job/1'")
        self.page.wait_text("SUCCEEDED")
        self.assertEqual(self.page.run("document.querySelectorAll('[data-action]').length"), 0)
        refused = "import('./rpc.js').then(m => m.call('DeleteJob', {id: '1'})).catch(e => e.code)"
        self.assertEqual(self.page.run(refused), "PERMISSION_DENIED")
        self.page.click("#who button")
        self.page.wait_text("Sign in")
        self.check("401", "403")

    def test_a_new_job(self):
        self.write("hold", "9999")
        self.sign_in()
        self.page.run("location.hash = '#/submit'")
        self.page.wait("!!document.querySelector('textarea')")
        text = f"name: pasted\nmodel: model\ndata: {{train: train.jsonl, max_tokens: 128}}\nlora:\n  rank: 0\noutput: {self.path('pasted')}\n"
        fill = ("([text, folder]) => { const set = (s, v) => { const e = document.querySelector(s); e.value = v; "
                "e.dispatchEvent(new Event('input')); }; set('textarea', text); set('.fields input', folder); }")
        self.page.run(f"({fill})({[text, TINY]!r})")
        self.page.wait("document.querySelector('.problems').innerText.includes('lora.rank must be an integer')")
        self.assertEqual(self.page.run("document.querySelector('.problems button').textContent"), "line 5")
        self.page.run(f"({fill})({[text.replace('rank: 0', 'rank: 4'), TINY]!r})")
        self.page.wait_text("Nothing is wrong")
        self.page.click("button[type=submit]")
        self.page.wait_text("SUCCEEDED")
        self.assertIn("rank: 4", self.get(self.client, "pasted").job_yaml)
        self.check("400")


if __name__ == "__main__":
    browser.main()
