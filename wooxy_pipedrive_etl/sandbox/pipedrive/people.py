"""Names, places and phone numbers from many countries, for realistic accounts. None of these people exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Locale:
    """A country: names with ASCII spellings for email addresses; the prefix and free digits of mobile numbers."""

    country: str
    city: str
    street: str
    timezone: str
    currency: str
    domain: str
    phone_prefix: str
    phone_digits: int
    first_names: tuple[tuple[str, str], ...]
    last_names: tuple[tuple[str, str], ...]


def _names(text: str) -> tuple[tuple[str, str], ...]:
    """``Jürgen=juergen Anna`` gives (Jürgen, juergen), (Anna, anna); an underscore stands for a space."""
    pairs = []
    for word in text.split():
        name, _, ascii_name = word.partition("=")
        pairs.append((name.replace("_", " "), ascii_name or name.replace("_", "").lower()))
    return tuple(pairs)


LOCALES: Final = (
    Locale("Finland", "Helsinki", "Esimerkkikatu", "Europe/Helsinki", "EUR", "example.fi", "+35840", 7,
           _names("Maija Väinö=vaino Aino Eero Päivi=paivi Juha-Pekka"),
           _names("Virtanen Mäkelä=makela Nieminen Hämäläinen=hamalainen Koskinen Öhman=ohman")),
    Locale("Estonia", "Tallinn", "Näidise tänav", "Europe/Tallinn", "EUR", "example.ee", "+3725", 7,
           _names("Mari Jüri=juri Kadri Õnne=onne Tõnu=tonu Rasmus"),
           _names("Tamm Saar Õunapuu=ounapuu Mägi=magi Kask Sepp")),
    Locale("Ukraine", "Київ", "вулиця Прикладна", "Europe/Kyiv", "UAH", "example.com.ua", "+38067", 7,
           _names("Олена=olena Андрій=andrii Ірина=iryna Тарас=taras Соломія=solomiia Їжак=yizhak"),
           _names("Шевченко=shevchenko Коваленко=kovalenko Бондар=bondar О’Коннор=okonnor Щербак=shcherbak")),
    Locale("Greece", "Αθήνα", "Οδός Παραδείγματος", "Europe/Athens", "EUR", "example.gr", "+30697", 7,
           _names("Γιώργος=giorgos Μαρία=maria Ελένη=eleni Νίκος=nikos Σοφία=sofia"),
           _names("Παπαδόπουλος=papadopoulos Γεωργίου=georgiou Νικολάου=nikolaou Αλεξίου=alexiou")),
    Locale("Japan", "東京都", "見本町", "Asia/Tokyo", "JPY", "example.jp", "+81903", 7,
           _names("さくら=sakura 翔太=shota 美咲=misaki ケンジ=kenji 葵=aoi"),
           _names("佐藤=sato 鈴木=suzuki 高橋=takahashi 田中=tanaka 渡辺=watanabe")),
    Locale("China", "上海", "示例路", "Asia/Shanghai", "CNY", "example.cn", "+861380", 7,
           _names("伟=wei 芳=fang 秀英=xiuying 强=qiang 丽=li"),
           _names("王=wang 李=li 张=zhang 刘=liu 欧阳=ouyang")),
    Locale("South Korea", "서울", "예시로", "Asia/Seoul", "KRW", "example.kr", "+82102", 7,
           _names("민준=minjun 서연=seoyeon 도윤=doyun 지우=jiwoo"),
           _names("김=kim 이=lee 박=park 최=choi 남궁=namgung")),
    Locale("Saudi Arabia", "الرياض", "شارع المثال", "Asia/Riyadh", "SAR", "example.sa", "+96650", 7,
           _names("محمد=mohammed فاطمة=fatima عبد_الله=abdullah نورة=noura"),
           _names("القحطاني=alqahtani الحربي=alharbi الشمري=alshammari")),
    Locale("Israel", "תל אביב", "רחוב הדוגמה", "Asia/Jerusalem", "ILS", "example.co.il", "+972522", 6,
           _names("נועה=noa דוד=david תמר=tamar יוסף=yosef"),
           _names("כהן=cohen לוי=levi מזרחי=mizrahi פרץ=peretz")),
    Locale("Germany", "München", "Musterstraße", "Europe/Berlin", "EUR", "example.de", "+491512", 7,
           _names("Jürgen=juergen Käthe=kaethe Björn=bjoern Anneliese Groß=gross"),
           _names("Müller=mueller Weiß=weiss von_der_Heide=vonderheide Jäger-Nußbaum=jaeger-nussbaum")),
    Locale("France", "Paris", "rue de l’Exemple", "Europe/Paris", "EUR", "example.fr", "+33612", 6,
           _names("Chloé=chloe François=francois Zoë=zoe Anaïs=anais Jean-Noël=jean-noel"),
           _names("Lefèvre=lefevre d’Aubigné=daubigne Nuñez=nunez Hélène=helene de_La_Fontaine=delafontaine")),
    Locale("Brazil", "São Paulo", "Rua do Exemplo", "America/Sao_Paulo", "BRL", "example.com.br", "+5511981", 6,
           _names("João=joao Conceição=conceicao Antônio=antonio Luíza=luiza"),
           _names("Gonçalves=goncalves Araújo=araujo dos_Santos=dossantos Conceição=conceicao")),
    Locale("Vietnam", "Hà Nội", "Phố Ví Dụ", "Asia/Ho_Chi_Minh", "VND", "example.vn", "+8490", 7,
           _names("Nguyệt=nguyet Đức=duc Thảo=thao Hữu_Phước=huuphuoc"),
           _names("Nguyễn=nguyen Trần=tran Phạm=pham Đặng=dang")),
    Locale("Thailand", "กรุงเทพฯ", "ถนนตัวอย่าง", "Asia/Bangkok", "THB", "example.co.th", "+6681", 7,
           _names("สมชาย=somchai สุดา=suda กิตติ=kitti"),
           _names("ศรีสุข=srisuk ทองดี=thongdi วงศ์สวัสดิ์=wongsawat")),
    Locale("India", "दिल्ली", "उदाहरण मार्ग", "Asia/Kolkata", "INR", "example.in", "+91981", 7,
           _names("प्रिया=priya अर्जुन=arjun लक्ष्मी=lakshmi राहुल=rahul"),
           _names("शर्मा=sharma सिंह=singh पटेल=patel अय्यर=iyer")),
    Locale("Georgia", "თბილისი", "მაგალითის ქუჩა", "Asia/Tbilisi", "GEL", "example.ge", "+995591", 6,
           _names("ნინო=nino გიორგი=giorgi თამარ=tamar"),
           _names("ბერიძე=beridze კაპანაძე=kapanadze გელაშვილი=gelashvili")),
    Locale("United States", "New York", "Sample Ave", "America/New_York", "USD", "example.com", "+12122", 6,
           _names("Emily Michael LaToya José=jose D'Angelo=dangelo"),
           _names("Smith O'Brien=obrien García-López=garcia-lopez Nguyen McDonald")),
    Locale("United Kingdom", "London", "Specimen Road", "Europe/London", "GBP", "example.co.uk", "+447400", 6,
           _names("Oliver Siân=sian Niamh Zara"),
           _names("Fitzgerald-Smythe St._John=stjohn Ó_Briain=obriain Patel")),
)  # fmt: skip
