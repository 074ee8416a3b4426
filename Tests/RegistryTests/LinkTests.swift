import Testing

@testable import Registry

@Suite struct LinkTests {
    @Test(
        arguments: [
            ([#"</v2/_catalog?last=b&n=2>; rel="next""#], "/v2/_catalog?last=b&n=2"),
            (["</a>; rel=next"], "/a"), ([#"</a> ; title="x" ; REL="prev next""#], "/a"),
            ([#"</a>; rel="prev", </b>; rel="next""#], "/b"), ([#"</a>; rel="prev""#, "</b>;rel=next"], "/b"),
            ([], nil), ([""], nil), (["</a>"], nil), (["</a>; rel=nextone"], nil), (["</a; rel=next"], nil),
            (["rel=next"], nil),
            (["<<<<>>>>;;;===;rel"], nil), ([String(repeating: "<", count: 100_000)], nil),
        ] as [([String], String?)])
    func linkToTheNextPage(_ fields: [String], _ target: String?) { #expect(Session.next(fields) == target) }
}
